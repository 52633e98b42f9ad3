"""A process of its own that asks for admission: `python -m tests.storage.admission.admission_worker URI DATABASE LIMITS LEASE`.

It reads what to do from stdin, a line of JSON each, and answers each with one on stdout:
`["slots", n]` and `["requests", key, user, n]` ask n times at once and hold what they get.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from uuid import uuid4

from storage.admission.admissions import Admissions, SharedLimits
from storage.mongo.database import Database

# For a machine that has much else to do: a decision that takes long is no database that is away.
PATIENCE_SECONDS = 30.0


class Watched(Admissions):
    """Remembers when the database admitted how many."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.admitted = []

    async def _decide(self, asks):
        rulings = await super()._decide(asks)
        for ruling in rulings.values():
            if ruling.rates and (last_at := ruling.rates[-1].last_at):
                self.admitted += [last_at.timestamp()] * ruling.granted
        return rulings


async def serve(uri, name, limits, lease):
    limits = json.loads(limits)
    window = timedelta(milliseconds=limits.pop("window_ms", 1000))
    database = Database.connect(uri, name)
    admissions = Watched(
        database,
        process=uuid4(),
        limits=SharedLimits(rate_window=window, **limits),
        lease=float(lease),
        patience=PATIENCE_SECONDS,
    )
    await admissions.open()
    renewing = asyncio.create_task(admissions.run())
    held = []
    say(True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        action, *arguments = json.loads(line)
        *who, number = arguments
        ask = admissions.take_slot if action == "slots" else admissions.count_request
        verdicts = await asyncio.gather(*(ask(*who) for _ in range(number)))
        held += verdicts
        at, admissions.admitted = admissions.admitted, []
        say({"refused_by": [verdict.refused_by for verdict in verdicts], "admitted_at": at})
    for verdict in held:
        if verdict.slot:
            verdict.slot.release()
    renewing.cancel()
    await asyncio.wait({renewing})
    await admissions.close()
    database.close()


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
