"""MongoDB: the only package that imports motor or pymongo."""
