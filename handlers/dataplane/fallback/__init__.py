"""Other providers for a call whose own provider cannot answer: which ones, and the tries."""
