"""Credentials for providers: keys, bearer tokens and signatures, and the choice of a key for a call."""
