"""What the API shows, written once: times and people so far. Pure: no I/O, no clock, and nothing of the database."""
