"""`python server.py verify`: does a running bridge keep what is promised? It is asked as clients ask it, over sockets."""
