"""`people`: users, groups and policies as a file says."""

from commands.people.applying import people

__all__ = ["people"]
