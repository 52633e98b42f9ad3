"""Sessions: which calls belong together, and what these say of one another."""
