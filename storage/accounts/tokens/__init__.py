"""Tokens: their text and digests, which ones are active, and when each was used last."""
