"""The routing table: which handler answers which path."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.web import Application

from handlers.api import spend_limits
from handlers.api.sign_in import desk
from handlers.api.sign_in.devices import DeviceCodeHandler, DeviceTokenHandler
from handlers.api.sign_in.sign_in import SignInHandler
from handlers.api.sign_in.single_sign_on import BeginHandler, CallbackHandler, SignInWaysHandler
from handlers.base import UnknownResourceHandler
from handlers.bridge import Bridge
from handlers.dashboard import DashboardFiles, DashboardHandler
from handlers.dataplane.addresses import CONTROL_PLANE, ROOTS, dialect_of_unknown, find_misdirection, find_route
from handlers.dataplane.proxy import ProxyHandler, Service
from handlers.dataplane.services.batches import BatchResults, BatchState, FileContent
from handlers.dataplane.services.model_list import MODEL_LIST, ModelList
from handlers.dataplane.services.not_served import NotServed
from handlers.dataplane.services.passthrough import Passthrough
from handlers.dataplane.services.recorded import Recorded
from handlers.dataplane.services.sockets.service import ApiSocket
from handlers.dataplane.services.stored_response import StoredResponse
from handlers.dataplane.upstream_request import Destination
from handlers.help import Documents, HelpHandler
from handlers.monitoring.health import HealthHandler, MetricsHandler, ReadinessHandler
from handlers.openapi.document import OpenAPIHandler
from handlers.operations.catalogue import BY_PATH
from handlers.operations.handler import OperationHandler
from handlers.problems import Problem
from intercept.apis import Dialect
from upstream.routes import BATCH_RESULTS, BATCH_STATES, FILE_CONTENTS, STORED_RESPONSES

DATA_PLANES = (CONTROL_PLANE, "/api/experimental/aibridge/")
# Paths of the control plane, what serves each, and with which arguments.
_CONTROL: tuple[tuple[Any, ...], ...] = (
    ("sign-in", SignInWaysHandler),
    ("sign-in/oidc", BeginHandler),
    ("sign-in/oidc/callback", CallbackHandler),
    ("device/code", DeviceCodeHandler),
    ("device/token", DeviceTokenHandler),
    ("users/me/session", SignInHandler),
    *(
        (re.sub(r"\{\w+\}", "([^/]+)", path), OperationHandler, {"operations": operations})
        for path, operations in BY_PATH.items()
    ),
)
# Below it are the page and what is read of the control plane, of the demo company.
DEMO = "/demo-company/"
# First words of these paths; no provider may be called like one.
CONTROL_RESOURCES = frozenset(path.partition("/")[0] for path, *_ in _CONTROL)
# What passes on the responses of some routes, and records what they tell.
_PASSING: dict[str, type[Passthrough]] = {
    BATCH_RESULTS: BatchResults,
    **dict.fromkeys(BATCH_STATES, BatchState),
    **dict.fromkeys(FILE_CONTENTS, FileContent),
    **dict.fromkeys(STORED_RESPONSES, StoredResponse),
    MODEL_LIST: ModelList,
}


class BridgeApplication(Application):
    """Tornado's application, with the data plane found by provider and route instead of by pattern."""

    def __init__(self, bridge: Bridge, files: DashboardFiles | None = None) -> None:
        self._bridge = bridge
        context = {"bridge": bridge}
        dashboard = context | {"files": files or DashboardFiles()}
        super().__init__(
            [
                *[(CONTROL_PLANE + path, handler, context | dict(*more)) for path, handler, *more in _CONTROL],
                ("/healthz", HealthHandler, context),
                ("/readyz", ReadinessHandler, context),
                ("/metrics", MetricsHandler, context),
                ("/openapi.json", OpenAPIHandler, context),
                ("/", DashboardHandler, dashboard),
                ("/dashboard/(.+)", DashboardHandler, dashboard),
                (r"/help(?:/([a-z-]*))?", HelpHandler, dashboard | {"documents": Documents()}),
            ],
            default_handler_class=UnknownResourceHandler,
            default_handler_args=context,
            log_function=lambda _handler: None,
        )

    def find_handler(  # type: ignore[override]
        self, request: HTTPServerRequest, **kwargs: Any
    ) -> HTTPMessageDelegate:
        """Find the handler; paths below a provider first, they are what is busy."""
        for prefix in DATA_PLANES:
            if request.path.startswith(prefix):
                name, _, rest = request.path[len(prefix) :].partition("/")
                if prefix != CONTROL_PLANE:
                    return self._data_plane(request, name, "/" + rest)
                if name not in CONTROL_RESOURCES:
                    return self._desk(request, name, "/" + rest) or self._data_plane(request, name, "/" + rest)
        if request.path.startswith(DEMO):
            return self._of_demo(request)
        if (misdirection := find_misdirection(self._bridge, request)) is not None:
            problem, dialect = misdirection
            return self._serve(request, dialect, NotServed(problem, needs_token=False))
        return super().find_handler(request, **kwargs)

    @cached_property
    def _demo(self) -> Bridge:
        return self._bridge.demo.make(self._bridge)

    def _of_demo(self, request: HTTPServerRequest) -> HTTPMessageDelegate:
        """Find the handler of the same path without `DEMO`, and give it the bridge of the demo company."""
        request.path = request.path.removeprefix(DEMO[:-1])
        found = super().find_handler(request)
        if found.handler_class is OperationHandler:
            found.handler_kwargs = {**found.handler_kwargs, "bridge": self._demo}
        elif found.handler_class is not DashboardHandler:
            return self.get_handler_delegate(request, UnknownResourceHandler, {"bridge": self._demo})
        return found

    def _desk(self, request: HTTPServerRequest, name: str, path: str) -> HTTPMessageDelegate | None:
        """Find what is served where Claude Code signs in below a provider; None if the path is another one."""
        provider = self._bridge.routing.table.providers.get(name)
        if provider is None or not (found := desk.HANDLERS.get(path) or spend_limits.find_operations(path)):
            return None
        if not provider.serves_messages:
            return None
        if isinstance(found, type):
            return self.get_handler_delegate(request, found, {"bridge": self._bridge})
        operations, parts = found
        arguments = {"bridge": self._bridge, "operations": operations}
        return self.get_handler_delegate(request, spend_limits.SpendLimitsHandler, arguments, path_args=parts)

    def _data_plane(self, request: HTTPServerRequest, name: str, path: str) -> HTTPMessageDelegate:
        table = self._bridge.routing.table
        provider = table.providers.get(name)
        if provider and request.method == "HEAD" and path in ROOTS:
            return self._serve(request, provider.dialect_of(path), NotServed(None, needs_token=False))
        route = find_route(self._bridge, name, request, path)
        if isinstance(route, Problem):
            dialect = provider.dialect_of(path) if provider else dialect_of_unknown(name, path)
            name_of = provider.name if provider else None
            return self._serve(request, dialect, NotServed(route, name_of, needs_token=True))
        provider = table.providers[name]
        to = Destination(provider, route, path, table.key_pools.get(name))
        if not route.methods:
            return self._serve(request, provider.dialect_of(path), ApiSocket(to))
        if route.api is None:
            service = _PASSING.get(route.pattern, Passthrough)
            return self._serve(request, route.dialect, service(to))
        return self._serve(request, route.dialect, Recorded(to, route.api))

    def _serve(self, request: HTTPServerRequest, dialect: Dialect, service: Service) -> HTTPMessageDelegate:
        arguments = {"bridge": self._bridge, "dialect": dialect, "service": service}
        return self.get_handler_delegate(request, ProxyHandler, arguments)
