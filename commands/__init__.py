"""Commands beside the server: users, groups, tokens, and what was recorded.

They work while a server runs, on its database: with the embedded one through the server's own mongod. When no server
runs, a mongod is started for as long as the command takes.
"""
