"""What is written into the search index, and how many segments it makes."""

from random import Random

from storage.search.segments import LARGE_DIGESTS
from storage.search.writing import MOST_SMALL, add_entries, remove_entries
from tests.storage.search.test_find import made
from tests.storage.search_checks import has_indexed, read_index


async def add(database, *documents):
    async with database.transaction() as session:
        await add_entries(database, documents, session)


async def remove(database, *documents):
    async with database.transaction() as session:
        await remove_entries(database, documents, session)


async def test_the_index_has_what_was_added_and_not_removed(database):
    random, kept = Random(1), {}
    for step in range(60):
        new = [
            made(number, prompt=f"word{number} {step}") for number in range(10 * step, 10 * step + random.randrange(4))
        ]
        await add(database, *new)
        kept |= {document["_id"]: document for document in new}
        gone = random.sample(list(kept.values()), random.randrange(1 + len(kept) // 8))
        await remove(database, *gone, made(9_999))
        changed = [made(one["_id"].int, prompt="changed") for one in gone[::2]]
        await add(database, *changed)
        kept = {id_: one for id_, one in kept.items() if one not in gone} | {one["_id"]: one for one in changed}
        if step % 10 == 9:
            await has_indexed(database, kept.values())
    await remove(database, *kept.values())
    assert await read_index(database) == ([], [])


async def test_there_are_never_many_small_segments(database):
    for number in range(1, 2 * MOST_SMALL):
        await add(database, made(number))
        segments, _ = await read_index(database)
        assert len(segments) < MOST_SMALL
    await has_indexed(database, [made(number) for number in range(1, 2 * MOST_SMALL)])


async def test_a_large_segment_stays_until_half_of_it_is_gone(database):
    words = [f"word{number}" for number in range(5_000)]
    documents = [made(number, prompt=" ".join(words[number:] + words[:number])) for number in range(1, 101)]
    await add(database, *documents[:50])
    await add(database, *documents[50:])
    await add(database, made(101))
    segments, _ = await read_index(database)
    assert [(one.calls, one.is_large) for one in segments] == [(100, True), (1, False)]
    assert segments[0].digests >= LARGE_DIGESTS
    await remove(database, *documents[:49])
    after, _ = await read_index(database)
    assert [(one.id, len(one.gone)) for one in after] == [(segments[0].id, 49), (segments[1].id, 0)]
    await has_indexed(database, [*documents[49:], made(101)])
    await remove(database, documents[49])
    after, _ = await read_index(database)
    assert [(one.calls, one.is_large, one.gone) for one in after] == [(1, False, ()), (50, False, ())]
    await has_indexed(database, [*documents[50:], made(101)])
