"""Providers: which there are, changes of those in the database, and whether they can be reached."""
