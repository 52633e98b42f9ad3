"""Which processes use a database now, and what one of them alone may do."""
