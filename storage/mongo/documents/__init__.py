"""Documents between the database and Python: as they are sent, and as structs are kept."""
