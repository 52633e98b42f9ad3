"""The job that adds every ended interception to the search index, exactly once (see `storage.derived.job`).

A call that changes after it was indexed (its presumed end is replaced, it is priced again, its texts are removed) is marked
again, with `indexed`: then it is taken out, and added once more. That may happen during a run, so a run removes only the marks
that it has read. One that stays too long costs no more than adding its call again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from bson.binary import Binary
from pymongo import UpdateMany, UpdateOne

from storage.derived.job import ExactlyOnceJob, Pending
from storage.mongo.clocks import Pause
from storage.mongo.database import Database, Session
from storage.mongo.indexes import UNINDEXED
from storage.recording.operations import PRESUMED
from storage.search.writing import add_entries, remove_entries

PAUSE_SECONDS = 1.0
"""The pause between two runs."""

BEHIND_SECONDS = 0.5
"""The pause while more waits than one run adds and calls are in progress."""

BATCH = 500
"""Most interceptions that are added in one transaction."""

_MARKED = {"unindexed": {"$exists": True}}


class SearchJob(ExactlyOnceJob):
    """Adds the interceptions of a database to its search index."""

    log = logging.getLogger(__name__)
    verb, waiting = "index", "nothing is added to the search index"
    job_state: ClassVar[Mapping[str, Any]] = {"_id": "indexing"}
    mark, kept = "unindexed", "indexed"
    marked, index = _MARKED, UNINDEXED
    batch = BATCH
    seconds, behind_seconds = PAUSE_SECONDS, BEHIND_SECONDS

    def __init__(
        self,
        database: Database,
        *,
        pause: Pause = asyncio.sleep,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(database, database.search_segments, pause=pause, busy=busy)

    async def _add(self, limit: int, session: Session) -> Pending:
        pending: Pending = {"true": [], "presumed": [], "again": []}
        cursor = self._interceptions.find(self._waiting, session=session).sort(UNINDEXED).hint(UNINDEXED)
        documents = await cursor.limit(limit).to_list(limit)
        for document in documents:
            if "indexed" in document:
                pending["again"].append({"_id": document["_id"], "unindexed": document["unindexed"]})
            elif document.get("presumed"):
                pending["presumed"].append({"_id": document["_id"], "indexed": True})
            else:
                pending["true"].append(document["_id"])
        await remove_entries(self._database, [one for one in documents if "indexed" in one], session)
        await add_entries(self._database, documents, session)
        return pending

    def _unmarking(self, pending: Pending) -> list[UpdateMany | UpdateOne]:
        # Whoever marks a call again sets `indexed` too.
        unmark = {"$unset": {"unindexed": ""}}
        presumed = {"_id": {"$in": [one["_id"] for one in pending["presumed"]]}, **_MARKED, "indexed": None}
        by_mark: defaultdict[datetime, list[Binary]] = defaultdict(list)
        for one in pending["again"]:
            by_mark[one["unindexed"]].append(one["_id"])
        indexed = {"$cond": ["$presumed", True, "$$REMOVE"]}
        return [
            UpdateMany({"_id": {"$in": pending["true"]}, "indexed": None}, unmark),
            # The true end may have come in between. Then its mark stays.
            UpdateMany({**presumed, **PRESUMED}, {"$set": {"indexed": True}, **unmark}),
            UpdateMany(presumed, {"$set": {"indexed": True}}),
            *(
                UpdateMany(
                    {"_id": {"$in": ids}, "unindexed": mark}, [{"$set": {"unindexed": "$$REMOVE", "indexed": indexed}}]
                )
                for mark, ids in by_mark.items()
            ),
        ]
