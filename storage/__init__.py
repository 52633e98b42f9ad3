"""MongoDB: the only package that imports motor, pymongo or bson.

queries | live -> derived -> recording | accounts | admission -> mongo: packages between bars never import one another.
"""
