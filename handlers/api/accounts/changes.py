"""Requests that change something: their bodies, and the responses where it cannot be done.

A cookie is no credential in a request of another site's page (`BridgeHandler.read_credentials`), and a body has to be
declared as JSON, which no form can do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, TypeVar
from uuid import UUID

from handlers.api.control import IdentifiedHandler
from handlers.bridge import Bridge
from handlers.problems import Problem, ValidationProblem, sentence
from resources.bodies import Body, InvalidBodyError
from storage.accounts.audit import Author
from storage.accounts.identities import IdentityConflictError, IdentityError, UnknownIdentityError
from storage.accounts.users import ChangedMeanwhileError, Role

MAX_BODY_BYTES = 4096
# What more is read and thrown away, so that a client gets to see the response.
SWALLOWED_BYTES = 1024 * 1024
NOT_JSON = "Send JSON, with Content-Type: application/json."
TOO_LARGE = "The request body is larger than the allowed {} bytes."
INVALID_BODY = "The request body has invalid values."
NO_OBJECT = "It must be a JSON object."

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')

B = TypeVar("B", bound=Body)
T = TypeVar("T")


def id_of(text: str, unknown: str) -> UUID:
    """Read the id in a path.

    Raises:
        UnknownIdentityError: With `unknown`: it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise UnknownIdentityError(unknown) from None


class ChangeHandler(IdentifiedHandler):
    """A resource that can be changed. Its methods authenticate the caller first."""

    BODY_METHODS: ClassVar[tuple[str, ...]] = ("POST", "PUT", "PATCH")
    max_body_bytes = MAX_BODY_BYTES

    def initialize(self, bridge: Bridge) -> None:
        """Receive the running bridge."""
        super().initialize(bridge)
        self._body = bytearray()

    async def prepare(self) -> None:
        """Bound the body. More is read than is used, so that a body that is too large gets an error with the allowed size."""
        if self.cycle.wants_body:
            self.cycle.set_max_body_size(SWALLOWED_BYTES)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, as far as it may be used."""
        if len(self._body) <= self.max_body_bytes:
            self._body += chunk

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say what cannot be done: 400, 404, 409, 412."""
        match error:
            case UnknownIdentityError():
                return Problem(404, sentence(str(error)))
            case ChangedMeanwhileError():
                return Problem(412, sentence(str(error)))
            case IdentityConflictError():
                return Problem(409, sentence(str(error)))
            case IdentityError():
                return ValidationProblem(INVALID_BODY, sentence(str(error)))
        return super().problem_of(error)

    @property
    def author(self) -> Author:
        """Who makes the change."""
        identity = self.identity
        return Author(identity.user, self.client_ip, identity.token_id or None, identity.expires_at)

    async def identify_owner(self, refusal: str) -> None:
        """Authenticate the caller, and check that they are still an owner.

        Raises:
            Problem: 403 with the refusal, if not.
        """
        await self.identify(fresh=True)
        if self.identity.user.role is not Role.OWNER:
            raise Problem(403, refusal)

    async def identify_auditor(self, refusal: str) -> None:
        """Authenticate the caller, and check that they see everything: an owner or an auditor.

        Raises:
            Problem: 403 with the refusal, if not.
        """
        await self.identify()
        if not self.identity.user.role.sees_everything:
            raise Problem(403, refusal)

    @property
    def versions(self) -> frozenset[str] | None:
        """The allowed versions, by `If-Match` (RFC 9110, section 13.1.1); None is any."""
        given = ",".join(self.request.headers.get_list("If-Match")).strip()
        if given in {"", "*"}:
            return None
        return frozenset(tag for weak, tag in _ENTITY_TAG.findall(given) if not weak)  # a weak one never matches

    def read_body(self, kind: type[B]) -> B:
        """Read the body as this struct; raises as `read_with`."""
        return self.read_with(kind.read)

    def read_with(self, read: Callable[[bytes], T]) -> T:
        """Read the body by `read`, which may raise `InvalidBodyError`.

        Raises:
            Problem: 413, it is too large; 415, it is not declared as JSON.
            ValidationProblem: it is invalid.
        """
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, NOT_JSON)
        if len(self._body) > self.max_body_bytes:
            raise Problem(413, TOO_LARGE.format(self.max_body_bytes))
        try:
            return read(bytes(self._body))
        except InvalidBodyError as error:
            detail = "" if error.problems else NO_OBJECT
            raise ValidationProblem(INVALID_BODY, detail, validations=error.problems) from error
