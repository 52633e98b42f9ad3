"""Other providers for a call whose own one cannot answer: which they are, and asking them."""
