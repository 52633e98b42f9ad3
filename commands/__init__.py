"""Commands besides `serve`: users, groups, tokens, records and more.

They work on the database, also while a server runs: with the embedded one through the server's own mongod. When no
server runs, a mongod is started for as long as the command takes.
"""
