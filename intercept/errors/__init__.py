"""Errors in plain words, and those that are alike."""
