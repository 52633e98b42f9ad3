"""The control plane: JSON resources for people and dashboards. Not subject to overload protection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from handlers.base import BridgeHandler
from handlers.problems import InvalidQueryError, Problem
from storage.database import DatabaseUnavailableError

DATABASE_AWAY = "The database cannot be reached at the moment. Please try again later."


@contextmanager
def database_problems() -> Iterator[None]:
    """Say that the database is away.

    Raises:
        Problem: 503.
    """
    try:
        yield
    except DatabaseUnavailableError as error:
        raise Problem(503, DATABASE_AWAY, {"Retry-After": "1"}) from error


class IdentifiedHandler(BridgeHandler):
    """A JSON resource for users alone."""

    async def identify(self, *, anew: bool = False) -> None:
        """Find out who is asking; `anew` does not rely on memory.

        Raises:
            Problem: 401 without a valid token, 503 when that cannot be known now.
        """
        self.set_header("Cache-Control", "no-store")
        self.identity = await self.authenticate(self.read_credentials(), anew=anew)

    def write_json(self, value: object) -> None:
        """Put a value into the answer."""
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(value))

    def error_body(self, problem: Problem) -> bytes:
        """Errors are `{message, detail?, validations?}`."""
        body: dict[str, object] = {"message": problem.message}
        if isinstance(problem, InvalidQueryError):
            if problem.detail:
                body["detail"] = problem.detail
            if problem.validations:
                body["validations"] = [{"field": field, "detail": detail} for field, detail in problem.validations]
        return msgspec.json.encode(body)


class ControlHandler(IdentifiedHandler):
    """A resource that is read and never changed by request."""

    async def prepare(self) -> None:
        """Find out who is asking."""
        await self.identify()

    @abstractmethod
    async def answer(self) -> None:
        """Answer a GET.

        Raises:
            Problem: it cannot be answered as asked.
        """

    async def get(self, *_path: str) -> None:
        """Answer, or say that the database is away.

        Raises:
            Problem: it cannot be answered as asked, or not now.
        """
        with database_problems():
            await self.answer()

    head = get


class UnknownResourceHandler(BridgeHandler):
    """Whatever is not served."""

    async def prepare(self) -> None:
        """Refuse.

        Raises:
            Problem: 404, always.
        """
        raise Problem(404, f"not found: {self.request.method} {self.request.path}")
