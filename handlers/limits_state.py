"""Whether limits that several processes have together hold at the moment."""

from __future__ import annotations

from typing import Literal

from resources.limits import PROCESS_LOCAL
from storage.admission.admissions import Admissions


def state_of_limits(admissions: Admissions | None) -> Literal["ok", "process-local: the database is unavailable"]:
    """Whether the limits hold as they were set, or only in this process."""
    return PROCESS_LOCAL if admissions is not None and admissions.away else "ok"
