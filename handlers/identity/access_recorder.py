"""Sign-ins, refused accesses, and reads of other users' calls.

Each is an entry of the audit trail. All but reads are also a metric and a throttled log line. No token is in any of them,
only the public part of a known one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from handlers.monitoring.metrics import Metrics
from limits.protection.failures import Failures
from limits.protection.mixin import client_key
from limits.throttle import Throttle
from storage.accounts.audit import AccessEvent, AccessTrail
from storage.accounts.events import Action, Plane, Reason, Way
from storage.accounts.users import Identity

_log = logging.getLogger(__name__)


class AccessRecorder:
    """Records sign-ins, failed authentication, refusals (403) and who read whose calls. Nothing here waits for anything.

    Args:
        metrics: Where they are counted.
        trail: Where they are written down.
        now_ns: A monotonic clock, in nanoseconds.
        failure_limit: How often an address may fail in any minute; 0 is any number.

    Attributes:
        trail: The entries of the audit trail that wait to be written.
    """

    def __init__(
        self, metrics: Metrics, trail: AccessTrail, now_ns: Callable[[], int], *, failure_limit: int = 0
    ) -> None:
        self._metrics = metrics
        self.trail = trail
        self._throttle = Throttle(now_ns)
        self._failures = Failures(failure_limit, now_ns)

    def wait_ns(self, address: Callable[[], str]) -> int:
        """How long an address has to wait before it may fail again, in nanoseconds; 0 while it may."""
        return self._failures.wait_ns(lambda: client_key(address()))

    def failed(
        self, reason: Reason, plane: Plane, address: str, token_id: str | None = None, *, counts: bool = True
    ) -> None:
        """Record that a request was not authenticated. Without any token it is only a metric.

        `counts` says whether it uses up one of the attempts of the address.
        """
        self._metrics.authentication_failures(reason, plane).inc()
        if reason is Reason.MISSING:
            return
        if counts and reason not in {Reason.MALFORMED, Reason.BLOCKED}:  # which are not looked up
            self._failures.count(client_key(address))
        if due := self._throttle.count((reason, plane)):
            _log.info(
                "authentication failed: reason=%s plane=%s address=%s token_id=%s new=%d total=%d",
                *(reason, plane, address, token_id or "-", due.new, due.total),
            )
        detail = (("reason", reason.value), ("plane", plane.value))
        key = client_key(address)
        self.trail.note(AccessEvent(Action.AUTHENTICATION_FAILED, key, token_id=token_id, detail=detail))

    def denied(self, message: str, plane: Plane, address: str, identity: Identity | None) -> None:
        """Record that a request was answered with 403. The message may quote what the client sent, but has no credentials."""
        self._metrics.access_denied(plane).inc()
        user, token_id = (identity.user, identity.token_id or None) if identity else (None, None)
        if due := self._throttle.count(("denied", plane)):
            _log.info(
                "access denied: plane=%s address=%s user=%s token_id=%s message=%r new=%d total=%d",
                *(plane, address, user.username if user else "-", token_id or "-", message, due.new, due.total),
            )
        detail = (("message", message), ("plane", plane.value))
        self.trail.note(AccessEvent(Action.ACCESS_DENIED, client_key(address), user, token_id, detail))

    def signed_in(self, address: str, identity: Identity) -> None:
        """Record that somebody signed in to the dashboard."""
        self._metrics.sign_ins.inc()
        user, token_id = identity.user, identity.token_id or None
        if due := self._throttle.count("signed in"):
            _log.info(
                "signed in: address=%s user=%s token_id=%s new=%d total=%d",
                *(address, user.username, token_id or "-", due.new, due.total),
            )
        self.trail.note(AccessEvent(Action.SIGNED_IN, client_key(address), user, token_id))

    def read(
        self, way: Way, address: str, identity: Identity, subject: tuple[UUID, str], *detail: tuple[str, str]
    ) -> None:
        """Record that somebody was shown what another user, `subject` by id and name, and the model wrote in a call."""
        said = (("way", way.value), *detail)
        event = AccessEvent(Action.CALLS_READ, client_key(address), identity.user, identity.token_id, said, subject)
        self.trail.note(event)

    def searched(self, address: str, identity: Identity, subject: tuple[UUID, str] | None) -> None:
        """Record that somebody searched what others wrote; `subject` is whose calls, None is everybody's."""
        event = AccessEvent(Action.CALLS_SEARCHED, client_key(address), identity.user, identity.token_id, (), subject)
        self.trail.note(event)
