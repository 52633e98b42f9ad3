"""The expected search index, computed call by call."""

from storage.search.segments import entries_of, entry_of
from storage.search.writing import read_segments
from tests.derived import derive


async def index(database):
    await derive(database)


async def read_index(database):
    """The segments, and the entries of all calls that they have, by id; one that two have is there twice."""
    fields = {}
    async for document in database.search_parts.find({}):
        fields.setdefault(document["_id"] % 2**32, {}).update(document["fields"])
    segments = await read_segments(database, {}, None)
    assert fields.keys() == {segment.id for segment in segments}
    entries = [entry for segment in segments for entry in entries_of(segment, fields[segment.id])]
    return segments, sorted(entries, key=lambda entry: entry.id)


async def has_indexed(database, documents):
    """Whether the index has these calls, each once and as it is, and no others."""
    _, found = await read_index(database)
    assert found == sorted(map(entry_of, documents), key=lambda entry: entry.id)


async def has_indexed_all(database):
    """Whether every call that has ended is in the index once, as it is."""
    ended = await database.interceptions.find({"status": {"$ne": "in_flight"}}).to_list(None)
    await has_indexed(database, ended)
