"""Recorded calls, sessions, refusals and errors, and their statistics."""
