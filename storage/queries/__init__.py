"""What the API reads: lists, counts, statistics, sessions, names, refusals; and the languages of their searches."""
