"""How bytes are written, whatever they say: events, JSON, encodings, bodies that are too large to read at once."""
