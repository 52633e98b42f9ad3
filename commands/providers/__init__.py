"""`providers`: where calls go, as the database has it."""

from commands.providers.changes import providers
from commands.providers.checking import add_check

__all__ = ["add_check", "providers"]
