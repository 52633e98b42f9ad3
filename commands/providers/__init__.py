"""`providers apply` and `reseal`; the other commands are made of operations."""

from commands.providers.changes import apply_file, reseal

__all__ = ["apply_file", "reseal"]
