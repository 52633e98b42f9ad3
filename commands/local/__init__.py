"""Commands about the servers that run on this machine."""
