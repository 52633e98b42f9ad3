"""What is answered to a client that is signed in below a provider."""

from __future__ import annotations

from http import HTTPStatus

from handlers.base import BridgeHandler
from handlers.problems import Problem
from storage.accounts.events import Plane


class SignedInHandler(BridgeHandler):
    """Answers a client that is signed in."""

    plane = Plane.SIGN_IN

    def write_problem(self, problem: Problem) -> None:
        """Put an error into the response. A client that is not signed in is not to try again."""
        if problem.status == HTTPStatus.UNAUTHORIZED:
            self.set_header("x-should-retry", "false")
        super().write_problem(problem)
