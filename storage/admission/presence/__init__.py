"""Which servers of a cluster are there, and what one of them may do alone."""
