"""`providers`, with the check, which makes a provider as a server does."""

from commands.providers import add_check, providers
from runtime.provider_table import make_managed

__all__ = ["providers"]

add_check(providers, make_managed)
