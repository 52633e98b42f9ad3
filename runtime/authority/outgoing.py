"""What a worker has yet to send to its supervisor. Pure."""

from __future__ import annotations

from itertools import islice

from runtime.authority.messages import (
    MAX_ITEMS,
    Adoption,
    Charge,
    FromWorker,
    Report,
    Restoration,
    Start,
    UsageRequest,
)


class Outgoing:
    """What waits to be sent. Starts and charges are by the number of their request: a later one replaces the one before."""

    def __init__(self) -> None:
        self.starts: dict[int, Start] = {}
        self.charges: dict[int, Charge] = {}
        self.ends: list[int] = []
        self.adoptions: list[Adoption] = []
        self.usage_requests: list[UsageRequest] = []
        self.reports: list[Report] = []
        self.restorations: list[Restoration] = []

    def take(self) -> FromWorker | None:
        """Return the next message; None if there is none.

        Nothing about a request is sent before the supervisor knows the request.
        """
        if self.starts and len(self.starts) <= MAX_ITEMS and not self._more():  # as nearly always
            message = FromWorker(ends=self.ends, starts=list(self.starts.values()))
            self.starts.clear()
            self.ends = []
            return message
        if not self.starts and not self.ends and not self._more():
            return None
        adoptions, self.adoptions = self.adoptions[:MAX_ITEMS], self.adoptions[MAX_ITEMS:]
        message = FromWorker(adoptions=adoptions)
        if not self.adoptions:
            message.charges = [self.charges.popitem()[1] for _ in range(min(len(self.charges), MAX_ITEMS))]
        if not self.adoptions and not self.charges:
            message.ends, self.ends = self.ends[:MAX_ITEMS], self.ends[MAX_ITEMS:]
        message.starts = list(islice(self.starts.values(), MAX_ITEMS))
        for start in message.starts:
            del self.starts[start.number]
        message.usage_requests, self.usage_requests = self.usage_requests, []
        message.reports, self.reports = self.reports, []
        message.restorations, self.restorations = self.restorations[:MAX_ITEMS], self.restorations[MAX_ITEMS:]
        return message

    def _more(self) -> bool:
        """Whether there is more to send than starts and ends."""
        waiting = self.adoptions or self.charges or self.usage_requests or self.reports or self.restorations
        return bool(waiting or len(self.ends) > MAX_ITEMS)
