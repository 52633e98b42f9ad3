"""What the command line of `server.py` consists of, aside from the commands themselves."""
