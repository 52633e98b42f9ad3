"""All parts of a fault test in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.audit import COMPLETED, Audit, Records
from tests.faults.deployment import Deployment
from tests.faults.load import Load, Provider


@dataclass
class Scenario:
    """Clients call a deployment, which asks the provider and leaves records; `tell` is for what a test measured."""

    provider: Provider
    deployment: Deployment
    load: Load
    records: Records
    tell: Callable[[str], None]

    async def audit(self, *, may_end_as: frozenset[str] = COMPLETED) -> Audit:
        """Hold the records against the load, see `Records.audit`; tell how many calls there were."""
        audit = await self.records.audit(self.load, self.provider, may_end_as=may_end_as)
        calls = f"{len(self.load.seen)} calls, {len(self.load.begun)} began"
        found = f"{len(audit.lost)} lost, {len(audit.doubled)} doubled, ended: {self.records.end_reasons()}"
        self.tell(f"{calls}, longest wait {self.load.longest_wait:.2f} s; {found}")
        return audit
