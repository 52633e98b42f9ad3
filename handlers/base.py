"""What every handler shares: authentication, and errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Collection
from functools import partial
from http.client import responses
from types import TracebackType
from typing import Any, ClassVar, cast

import msgspec
from tornado.web import HTTPError, RequestHandler, stream_request_body

from handlers.bridge import Bridge
from handlers.identity.credentials import (
    GOVERNANCE_HEADER,
    HOST_SESSION_COOKIE,
    SESSION_COOKIE,
    Credentials,
    client_address,
    is_foreign,
    looks_like_provider_key,
    read_credentials,
    scheme_of,
)
from handlers.problems import Error, Problem, database_unavailable, policies_unknown
from handlers.tornado_private import discard_response, head_is_written
from http1.request_cycle import RequestCycle
from intercept.callers import client_name
from intercept.ids import format_id
from intercept.refusals import Rule
from intercept.secrets import scrub_quoted
from limits.headers import retry_headers
from storage.accounts.authentication import IdentitiesUnavailableError, InvalidTokenError, Kind
from storage.accounts.events import Plane, Reason
from storage.accounts.users import Identity
from storage.mongo.database import DatabaseUnavailableError
from storage.policies.followed import PoliciesUnknownError
from upstream.credentials.sigv4 import ALGORITHM

logger = logging.getLogger(__name__)

UNIDENTIFIED = "A token is required: send it as `Authorization: Bearer TOKEN` or `X-Api-Key: TOKEN`."
SIGNED = "A signature of AWS does not sign in here: send a token, as AWS_BEARER_TOKEN_BEDROCK does."
PROVIDER_KEY = (
    "This looks like a provider's key. Send a token of AI Bridge instead; "
    f"to use your own key, send the token as well, in {GOVERNANCE_HEADER}."
)
UNRECOGNISED = "The token is not valid: it is unknown, expired or revoked."
TOO_MANY_FAILURES = "Too many tokens from this address were not valid. Please try again later."
SESSION_ENDED = "The session has ended. Please sign in again."
IDENTITIES_UNAVAILABLE = "Tokens cannot be verified at the moment. Please try again later."
DASHBOARD = "Dashboard"
FORBIDDEN = 403
TOO_MANY_REQUESTS = 429
METHOD_NOT_ALLOWED = 405
# A client has to take each piece of a response within this time; one that reads nothing would hold its slot for ever.
STALL_SECONDS = 300.0


@stream_request_body
class BridgeHandler(RequestHandler):
    """Authentication and errors. Subclasses render errors. `identity` is set when the caller is known.

    A request is answered before its body is read, unless its method is one of `BODY_METHODS`.
    """

    BODY_METHODS: ClassVar[Collection[str]] = ()
    MAX_BODY_BYTES: ClassVar[int] = 4096
    BODY_SECONDS: ClassVar[float] = 10.0
    """How long a body may take."""
    bridge: Bridge
    request_id: str
    plane = Plane.CONTROL
    identity: Identity
    refused_token_id: str | None = None
    """The public part of a token that is known but no longer valid."""

    def __init_subclass__(cls) -> None:
        """Serve HEAD where GET is served, unless a class has a `head` of its own."""
        super().__init_subclass__()
        if "get" in vars(cls) and "head" not in vars(cls):
            cls.head = cls.get

    def initialize(self, bridge: Bridge) -> None:
        """Receive the running bridge."""
        self.bridge = bridge
        self.request_id = format_id(bridge.new_id())
        self._body = bytearray()
        if not self.takes_body:
            self.cycle.refuse_body()

    @property
    def takes_body(self) -> bool:
        """Whether the request is answered after its body was read."""
        return self.request.method in self.BODY_METHODS

    async def prepare(self) -> None:
        """Bound the body."""
        if self.cycle.wants_body:
            self.cycle.set_max_body_size(self.MAX_BODY_BYTES)
            self.cycle.set_body_timeout(self.BODY_SECONDS)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Collect the body; return what to wait for before the next piece."""
        self._body += chunk
        return None

    def clear(self) -> None:
        """Reset the response without Tornado's default headers: the handler sets them, and `RequestCycle` the date."""
        discard_response(self)
        self.set_status(200)
        self.set_default_headers()

    def compute_etag(self) -> str | None:
        """No entity tags: hashing each body would cost more than it saves."""
        return None

    @property
    def cycle(self) -> RequestCycle:
        """The request and its response on their connection."""
        return cast("RequestCycle", self.request.connection)

    @property
    def client_ip(self) -> str:
        """The address of the client, through the reverse proxies that are trusted."""
        forwarded_for = ",".join(self.request.headers.get_list("X-Forwarded-For"))
        return client_address(self.request.remote_ip or "", forwarded_for, self.bridge.settings.trusted_proxies)

    @property
    def scheme(self) -> str:
        """How the client reached the bridge, or the reverse proxy that is trusted: `http` or `https`."""
        return scheme_of(self.request, self.bridge.settings.trusted_proxies)

    @property
    def is_foreign(self) -> bool:
        """Whether a browser says that another origin's page made the request."""
        return is_foreign(self.request.headers, self.scheme)

    @property
    def session_cookie(self) -> str | None:
        """The session in the cookie. Over TLS only that counts which no other host can have set."""
        if "Cookie" not in self.request.headers:
            return None
        cookies = self.request.cookies
        names = (HOST_SESSION_COOKIE,) if self.scheme == "https" else (HOST_SESSION_COOKIE, SESSION_COOKIE)
        return next((cookies[name].value for name in names if name in cookies), None)

    def read_credentials(self) -> Credentials:
        """The credentials that the request carries; no cookie lets another site's page in."""
        cookie = self.session_cookie
        return read_credentials(self.request.headers, cookie if cookie and not self.is_foreign else None)

    async def authenticate(self, credentials: Credentials, *, fresh: bool = False) -> Identity:
        """Authenticate the caller; `fresh` bypasses the cache.

        Tokens from an address that has failed too often are looked up only if they are known, so guesses cost nothing,
        and others at that address still get in.

        Raises:
            Problem: 401 without a valid token, 429 after too many of them, 503 if it cannot be checked now.
        """
        challenge = {"WWW-Authenticate": "Bearer"}
        bridge = self.bridge.real or self.bridge
        access = bridge.access
        text, kind = (credentials.session, Kind.SESSION) if credentials.session else (credentials.token, Kind.TOKEN)
        if text is None:
            self.note_failure(Reason.MISSING)
            is_signed = self.request.headers.get("Authorization", "").startswith(ALGORITHM)
            raise Problem(401, SIGNED if is_signed else UNIDENTIFIED, challenge, rule=Rule.NO_TOKEN)
        identities = bridge.identities
        wait_ns = access.wait_ns(lambda: self.client_ip)
        if wait_ns and not await bridge.active_tokens.may_have(text, kind):
            self.note_failure(Reason.BLOCKED)
            raise Problem(429, TOO_MANY_FAILURES, retry_headers(wait_ns), rule=Rule.TOO_MANY_FAILURES)
        try:
            identity = await (identities.authenticate_afresh if fresh else identities.authenticate)(text, kind)
        except InvalidTokenError as error:
            self.note_failure(error.reason, error.token_id)
            self.refused_token_id = error.token_id
            if kind is Kind.TOKEN and looks_like_provider_key(text):
                raise Problem(401, PROVIDER_KEY, challenge, rule=Rule.PROVIDER_KEY_AS_TOKEN) from error
            message = UNRECOGNISED if kind is Kind.TOKEN else SESSION_ENDED
            raise Problem(401, message, challenge, rule=Rule.INVALID_TOKEN) from error
        except IdentitiesUnavailableError as error:
            raise Problem(503, IDENTITIES_UNAVAILABLE, {"Retry-After": "1"}, rule=Rule.TOKENS_UNVERIFIABLE) from error
        self.note_use(identity, kind)
        return identity

    def note_failure(self, reason: Reason, token_id: str | None = None) -> None:
        """Record that a request was not authenticated.

        What a page of another site has a browser send is not counted against its address: such a page reads no answer, so it
        guesses nothing, and would only lock out who looks at it.
        """
        self.bridge.access.failed(reason, self.plane, self.client_ip, token_id, counts=not self.is_foreign)

    def note_use(self, identity: Identity, kind: Kind) -> None:
        """Note that somebody was here."""
        (self.bridge.real or self.bridge).token_uses.note(identity, partial(self._client_of, kind))

    def _client_of(self, kind: Kind) -> tuple[str, str]:
        """What uses the token, and from where."""
        return (DASHBOARD if kind is Kind.SESSION else client_name(self.request.headers)), self.client_ip

    def write_json(self, value: object) -> None:
        """Put a value into the response."""
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(value))

    def error_body(self, problem: Problem) -> bytes:
        """The JSON body of an error."""
        return msgspec.json.encode(Error(problem.message))

    def write_problem(self, problem: Problem) -> None:
        """Put an error into the response, ready to be flushed or finished."""
        problem = problem.scrubbed()
        self.note_denied(problem)
        body = self.error_body(problem)
        self.set_status(problem.status, responses.get(problem.status, "Error"))
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", str(len(body)))
        if self.request.method != "HEAD":
            self.write(body)

    def note_denied(self, problem: Problem) -> None:
        """Record a refusal with 403, whose message was scrubbed. Others are ignored."""
        if problem.status == FORBIDDEN:
            self.bridge.access.denied(problem.message, self.plane, self.client_ip, getattr(self, "identity", None))

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """What an exception says to the client; None if it is unexpected. Subclasses know more of them."""
        if isinstance(error, DatabaseUnavailableError):
            return database_unavailable()
        if isinstance(error, PoliciesUnknownError):
            return policies_unknown()
        return error if isinstance(error, Problem) else None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Render an exception: what it says, or a plain 500 without details."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        problem = self.problem_of(error)
        if problem is None:
            message = responses.get(status_code, "Error") if isinstance(error, HTTPError) else "Internal Server Error"
            headers = {"Allow": self.allowed} if status_code == METHOD_NOT_ALLOWED else {}
            rule = Rule.WRONG_METHOD if status_code == METHOD_NOT_ALLOWED else None
            problem = Problem(status_code, message, headers, rule=rule)
        self.write_problem(problem)
        self.finish()

    @property
    def allowed(self) -> str:
        """The methods that are served, for the header that a 405 must have (RFC 9110 section 15.5.6)."""

        def is_served(name: str) -> bool:
            return getattr(type(self), name) is not getattr(RequestHandler, name)

        return ", ".join(name for name in self.SUPPORTED_METHODS if is_served(name.lower()))

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Respond with an error. A response that has begun is cut instead, so that it never looks complete."""
        problem = self.problem_of(kwargs.get("exc_info", (None, None, None))[1])
        if head_is_written(self):
            self.break_off(problem)
            return
        super().send_error(problem.status if problem else status_code, **kwargs)

    def cut(self) -> None:
        """Close the connection in the middle of the body.

        An HTTP/1.0 client takes an orderly close for the end of the body, so for it the connection is reset.
        """
        self.cycle.abort(reset=self.request.version == "HTTP/1.0")

    def break_off(self, problem: Problem | None = None) -> None:  # noqa: ARG002 - for those who can still say why
        """Close the connection in the middle of the body and end the request."""
        self.cut()
        self.finish()

    def log_exception(
        self,
        typ: type[BaseException] | None,  # noqa: ARG002 - Tornado hands over all three
        value: BaseException | None,
        tb: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """Log an unexpected exception, one that is no response."""
        if isinstance(value, HTTPError) or self.problem_of(value) is not None:
            return
        path = scrub_quoted(self.request.path)
        logger.error("unexpected error: request_id=%s path=%s", self.request_id, path, exc_info=value)


class UnknownResourceHandler(BridgeHandler):
    """Whatever is not served."""

    async def prepare(self) -> None:
        """Refuse.

        Raises:
            Problem: 404, always.
        """
        raise Problem(404, f"not found: {self.request.method} {scrub_quoted(self.request.path)}")
