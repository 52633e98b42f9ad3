"""Which records a list has: the languages of searches, time ranges, and the selection that follows. Pure."""
