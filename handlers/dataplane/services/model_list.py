"""The models of a provider: a client that signed in below it is told of those that it may use."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.services.passthrough import OK, Passthrough
from handlers.dataplane.upstream_request import UpstreamRequest
from upstream.client import UpstreamResponse

MODEL_LIST: Final = "/v1/models"
MAX_BYTES: Final = 1024 * 1024
"""A longer list is passed on as it is."""


class _Model(Struct):
    id: str


class _Models(Struct):
    data: list[_Model]


class ModelList(Passthrough):
    """The service of a list of models: with a token of another kind it is what the provider says."""

    async def relay(self, handler: ProxyHandler, response: UpstreamResponse, sent: UpstreamRequest) -> None:
        """Respond with the models that no policy refuses, to a client that signed in; else relay.

        Raises:
            UpstreamError: The response broke off.
        """
        if handler.told_at_desk and handler.policy is not None and response.status == OK:
            allowed = self._allowed(handler, await response.peek(MAX_BYTES))
            if allowed is not None:
                handler.write_json(allowed)
                return
        await super().relay(handler, response, sent)

    def _allowed(self, handler: ProxyHandler, body: bytes) -> dict[str, Any] | None:
        """The list without the models that a policy refuses; None if it cannot be read."""
        try:
            ids = [one.id for one in msgspec.json.decode(body, type=_Models).data]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        policy, bridge, provider = handler.policy, handler.bridge, self._to.provider.name

        def may_use(model: str) -> bool:
            has_price = partial(bridge.pricing.has_price, provider, model, bridge.now())
            return policy is None or policy.refuse_model(provider, model, has_price) is None

        listed: dict[str, Any] = msgspec.json.decode(body)
        listed["data"] = [one for one, id_ in zip(listed["data"], ids, strict=True) if may_use(id_)]
        return listed
