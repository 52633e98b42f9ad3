"""`POST /api/v2/aibridge/providers/{name}/check`: checks that a provider can be reached with each key."""

from __future__ import annotations

from handlers.api.providers.managed import NOT_YOURS_TO_CHANGE, ProviderChangeHandler
from handlers.problems import Problem
from resources.providers import KeyCheck, ProviderCheck
from upstream.providers.provider_check import check_provider

UNKNOWN = "There is no provider named {}."


class ProviderCheckHandler(ProviderChangeHandler):
    """The check of a provider, of the environment or of the database."""

    BODY_METHODS = ()

    async def post(self, name: str) -> None:
        """Request the provider's models with each of its keys, and respond with the results.

        Works for disabled ones too.
        """
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await self.bridge.followed.try_refresh()
        provider = self.bridge.providers.get(name)
        if provider is None:
            raise Problem(404, UNKNOWN.format(name))
        results = await check_provider(provider, self.bridge.upstream)
        keys = [KeyCheck(one.hint, one.is_well, one.status, one.message, one.models) for one in results]
        self.write_json(ProviderCheck(all(one.is_well for one in results), keys))
