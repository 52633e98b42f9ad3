"""Finding calls by what was said in them and by rare values: an index of its own, built in the background."""
