"""The processes of a server: the supervisor, its workers, how each serves, and what the supervisor decides for them."""
