"""Formats that are read piece by piece as they arrive."""
