"""Finds calls by their texts and by rare values, with an own index that is built in the background."""
