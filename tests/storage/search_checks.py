"""The expected search index, computed call by call."""

from __future__ import annotations

import math

from storage.recording.figures import FIGURES
from storage.search.documents import JOB_STATE, read_part_id, read_segment
from storage.search.entries import Entry, entry_of
from storage.search.segments import FIRST_FIGURE, ID_BYTES, IDS, MAX_CALLS, TIMES, _postings, numbers


async def read_index(database):
    """The entries of all calls that segments have, in whatever order; one that two have is there twice."""
    parts = {}
    async for document in database.search_parts.find({}):
        number, part = read_part_id(document["_id"])
        parts.setdefault(number, {})[part] = document["data"]
    entries = []
    async for document in database.search_segments.find({"_id": {"$ne": JOB_STATE["_id"]}}):
        segment = read_segment(document)
        entries += entries_of(segment, parts.pop(segment.number))
    assert parts == {}, "parts of no segment"
    return entries


def in_bucket(part):
    """The digests of a bucket, each with the positions of the calls that have it."""
    digests, ends, positions = _postings(part)
    return [(digest, positions[begin:end]) for digest, begin, end in zip(digests, [0, *ends], ends, strict=False)]


def entries_of(segment, parts):
    """The entries of a segment that are not gone."""
    assert 0 < segment.calls <= MAX_CALLS
    times, ids = numbers(parts[TIMES], "q"), parts[IDS]
    digests = [set() for _ in times]
    for bucket in segment.buckets:
        for digest, positions in in_bucket(parts[bucket]) if bucket in parts else ():
            assert segment.bucket(digest) == bucket
            for position in positions:
                digests[position].add(digest)
    columns = [numbers(parts[FIRST_FIGURE + index], "d") for index in range(len(FIGURES))]
    keys = [(at, ids[place * ID_BYTES : (place + 1) * ID_BYTES]) for place, at in enumerate(times)]
    assert keys == sorted(keys)
    assert (segment.calls, segment.first, segment.last) == (len(keys), times[0], times[-1])
    return [
        Entry(*key, frozenset(digests[place]), tuple(None if math.isnan(one[place]) else one[place] for one in columns))
        for place, key in enumerate(keys)
        if place not in segment.gone
    ]


async def has_indexed_all(database):
    """Whether every call that has ended is in the index once, as it is, and nothing is left to do."""
    ended = await database.interceptions.find({"status": {"$ne": "in_flight"}}).to_list(None)
    found = sorted(await read_index(database), key=lambda entry: entry.id)
    assert found == sorted((entry_of(document) for document in ended), key=lambda entry: entry.id)
    assert await database.interceptions.count_documents({"unindexed": {"$exists": True}}) == 0
    state = await database.search_segments.find_one(JOB_STATE)
    assert state is None or "note" not in state
