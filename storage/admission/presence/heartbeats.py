"""Heartbeats: how a server of a cluster tells the others that it is alive, and learns the same of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from storage.admission.ledger_documents import Document
from storage.admission.ledger_store import LedgerStore
from storage.admission.presence.last_member import LastMember
from storage.admission.presence.members import Heartbeat, Members
from storage.admission.presence.standing import Standing, State


class Presence:
    """The presence of one server among the others. Errors of the driver are passed on.

    Attributes:
        report: Returns this server's report about itself, for BSON.
    """

    def __init__(
        self, server: UUID, store: LedgerStore, members: Members, standing: Standing, folder: Path | None
    ) -> None:
        self.report: Callable[[], Document] = dict
        self.reports: Mapping[str, Document] = {}
        self._server = server
        self._store = store
        self._members = members
        self._standing = standing
        self._last = LastMember(folder)
        self._noted_alone = False

    async def take_over(self) -> None:
        """Remove the heartbeat of the server that used this folder before."""
        before = self._last.take_over(self._server)
        if before is not None:
            await self._store.leave_for(str(before))

    async def beat(self, began: int, *, unreported: bool) -> None:
        """Read the heartbeats of the others, and send one. `began` is the time, by this server's clock.

        Raises:
            TimeoutError: It took too long.
        """
        heartbeats = await self._store.servers()
        self._members.update(heartbeats.by_server, began)
        self.reports = heartbeats.reports
        alone = unreported or self._standing.state is not State.SHARED
        self._standing.read(self._members.share)
        await self._store.beat(Heartbeat(0, self._members.share, alone), self.report(), heartbeats)
        self._standing.written()
        if self._noted_alone and not alone:
            self._note(alone=False)

    def lose(self) -> bool:
        """The database is unavailable, and this server decides alone. Return whether that is new."""
        if not self._standing.lose():
            return False
        self._note(alone=True)
        return True

    def close(self) -> None:
        """Release the folder for another server."""
        self._last.close()

    def others(self) -> list[Document]:
        """The reports of the other servers whose heartbeats are recent."""
        own = str(self._server)
        return [
            report for name, report in self.reports.items() if report and name != own and self._members.is_heard(name)
        ]

    def _note(self, *, alone: bool) -> None:
        self._noted_alone = alone
        self._last.note(self._server, alone=alone)
