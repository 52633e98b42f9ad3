"""Whether limits that several processes have together hold at the moment."""

from __future__ import annotations

from storage.admission.admissions import Admissions

PROCESS_LOCAL = "process-local: the database is away"


def state_of_limits(admissions: Admissions | None) -> str:
    """Whether the limits hold as they were set, or only in this process."""
    return PROCESS_LOCAL if admissions is not None and admissions.away else "ok"
