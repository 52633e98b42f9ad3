"""One limit of each kind, as a server of a cluster knows it."""
