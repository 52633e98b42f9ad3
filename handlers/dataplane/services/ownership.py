"""What a provider stores for a key of the bridge belongs to the user whose recorded call got it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from handlers.dataplane.proxy import ProxyHandler
from handlers.problems import Problem, database_unavailable
from intercept.refusals import Rule
from storage.mongo.database import DatabaseUnavailableError

MAX_REFERENCES = 256
TOO_MANY = f"A request may name at most {MAX_REFERENCES} stored responses, conversations and files."
NOT_YOURS = "No recorded response, batch or file of yours has this id. With your own key you can use any."
# A response is recorded when it has ended, which another process may not have written down yet.
WRITTEN_SECONDS = 1.0


async def check_own(handler: ProxyHandler, provider_name: str, id_: str) -> None:
    """Check that a user may use what has this id: with a key of one's own everything is.

    Raises:
        Problem: 404, no recorded call of the user's got it; 503, that cannot be known now.
    """
    if handler.credentials.own_key is not None:
        return
    try:
        if not await _is_own(handler, provider_name, id_):
            raise Problem(404, NOT_YOURS, rule=Rule.NOT_YOUR_RESPONSE)
    except DatabaseUnavailableError as error:
        raise database_unavailable() from error


async def check_references(handler: ProxyHandler, provider_name: str, ids: Collection[str]) -> None:
    """Check that what a body names was made by no other user, as far as the bridge saw it made.

    Raises:
        Problem: 404, another user's recorded call got it; 400, these are too many; 503, that cannot be known now.
    """
    if not ids or handler.credentials.own_key is not None:
        return
    if len(ids) > MAX_REFERENCES:
        raise Problem(400, TOO_MANY, rule=Rule.UNUSABLE_BODY)
    try:
        if await handler.bridge.interceptions.are_of_others(handler.identity.user.id, provider_name, ids):
            raise Problem(404, NOT_YOURS, rule=Rule.NOT_YOUR_RESPONSE)
    except DatabaseUnavailableError as error:
        raise database_unavailable() from error


async def _is_own(handler: ProxyHandler, provider_name: str, id_: str) -> bool:
    """Whether a recorded call of this user got it. Waits for records that are still to be written."""
    bridge = handler.bridge
    of_user = (handler.identity.user.id, provider_name, id_)
    if await bridge.interceptions.has_response(*of_user):
        return True
    await bridge.recorder.flush(WRITTEN_SECONDS)
    if await bridge.interceptions.has_response(*of_user):
        return True
    await asyncio.sleep(WRITTEN_SECONDS)
    return await bridge.interceptions.has_response(*of_user)
