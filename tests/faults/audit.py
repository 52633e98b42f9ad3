"""The audit: compares what the clients and the provider saw with the records in MongoDB, read without the bridge."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from pymongo import MongoClient

from tests.faults.calls import Call
from tests.faults.load import Provider, Seen
from tests.faults.waiting import until

Document = dict[str, Any]
COMPLETED = frozenset({"completed"})
# An end is written a moment after its client saw it; after a crash a survivor has to notice first.
SETTLE_SECONDS = 60


class Seers(Protocol):
    """Clients, and what they saw: see `tests.faults.load.Load`."""

    @property
    def seen(self) -> list[Seen]: ...

    @property
    def begun(self) -> list[Seen]: ...


@dataclass
class Audit:
    """The numbers of the calls that are not recorded as they happened; without any, all is well."""

    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    misrecorded: list[int] = field(default_factory=list)
    invented: list[int] = field(default_factory=list)
    requested_twice: list[int] = field(default_factory=list)


class Records:
    def __init__(self, uri: str) -> None:
        self._client: MongoClient[Document] = MongoClient(uri, uuidRepresentation="standard", tz_aware=True)
        self.interceptions = self._client["aibridge"]["interceptions"]

    def close(self) -> None:
        self._client.close()

    def of(self, call: Call) -> list[Document]:
        return list(self.interceptions.find({"user_prompts.prompt": call.prompt}))

    async def ended(self, call: Call) -> Document:
        async def ended() -> bool:
            return any(document["status"] != "in_flight" for document in self.of(call))

        await until(ended, SETTLE_SECONDS)
        (document,) = self.of(call)
        return document

    async def audit(self, load: Seers, provider: Provider, *, may_end_as: frozenset[str] = COMPLETED) -> Audit:
        """Wait until every call that has to be recorded is, and has ended; then look at all of them.

        Args:
            load: What the clients saw.
            provider: What it was asked for.
            may_end_as: The end reasons that the record of a call may have whose client saw it whole.
        """
        begun = {seen.call.number for seen in load.begun} | set(provider.requested)

        async def settled() -> bool:
            recorded = await asyncio.to_thread(self._by_number)
            return begun <= recorded.keys() and not _in_flight(recorded)

        with suppress(TimeoutError):  # what it waited for in vain is told below
            await until(settled, SETTLE_SECONDS)
        recorded = await asyncio.to_thread(self._by_number)
        return Audit(
            lost=sorted(begun - recorded.keys()),
            doubled=sorted(number for number, documents in recorded.items() if len(documents) > 1),
            in_flight=_in_flight(recorded),
            misrecorded=sorted(_misrecorded(load.seen, recorded, may_end_as)),
            invented=sorted(recorded.keys() - {seen.call.number for seen in load.seen}),
            requested_twice=sorted(number for number, times in provider.requested.items() if times > 1),
        )

    def end_reasons(self) -> dict[str, int]:
        counted = self.interceptions.aggregate([{"$sortByCount": "$end_reason"}])
        return {group["_id"]: group["count"] for group in counted}

    def _by_number(self) -> dict[int, list[Document]]:
        recorded = defaultdict(list)
        for document in self.interceptions.find():
            (prompt,) = document["user_prompts"]
            recorded[int(prompt["prompt"].removeprefix("call "))].append(document)
        return dict(recorded)


def usage(document: Document) -> dict[str, Any] | None:
    """The counts of a document's one usage with their source; None when it has none."""
    usages = document.get("token_usages", [])
    if not usages:
        return None
    (only,) = usages
    return {name: value for name, value in only.items() if name.endswith("_tokens")} | {"source": only["source"]}


def _in_flight(recorded: dict[int, list[Document]]) -> list[int]:
    return sorted(
        number
        for number, documents in recorded.items()
        if any(document["status"] == "in_flight" for document in documents)
    )


def _misrecorded(
    seen: Iterable[Seen], recorded: dict[int, list[Document]], may_end_as: frozenset[str]
) -> Iterable[int]:
    for one in seen:
        for document in recorded.get(one.call.number, ()):
            completed = document.get("end_reason") == "completed"
            if (
                (one.interception_id is not None and document["_id"] != one.interception_id)
                or (one.served and document.get("end_reason") not in may_end_as)
                or (completed and usage(document) != one.call.tokens | {"source": "provider"})
            ):
                yield one.call.number
