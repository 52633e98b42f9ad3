"""`python server.py verify`: check a running bridge. Requests are sent over sockets, as clients send them."""
