"""Credentials in text: found by their shape or their value, and taken out."""
