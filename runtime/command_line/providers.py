"""`providers` and `apply`: they have providers routed to as a server does, by this environment and the database."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from commands.apply import apply_command
from commands.command import now
from commands.operations import resource
from commands.providers import reseal
from handlers.bridge import managed_providers
from handlers.key_health import KeyHealth
from runtime.factories import known_secrets, make_providers
from runtime.provider_table import follow_providers
from settings import Settings
from storage.mongo.database import Database
from upstream.providers.table import Routing

__all__ = ["apply", "providers"]


async def _open_parts(settings: Settings, database: Database) -> Mapping[str, Any]:
    routing = Routing(make_providers(settings, ""), monotonic, now)
    secrets, managed = known_secrets(settings), managed_providers(database, settings, now)
    return {
        "routing": routing,
        "managed": managed,
        "followed": await follow_providers(settings, managed, routing, secrets, lambda _: None),
        "secrets": secrets,
        "key_health": KeyHealth(routing, lambda: ()),
        "breakers": None,
    }


providers = resource("providers", _open_parts)
providers.add_command(reseal)
apply = apply_command(_open_parts)
