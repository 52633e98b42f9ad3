"""What changes seldom, in the memory of a process."""

from datetime import UTC, datetime

import pytest

from storage.mongo.database import DatabaseUnavailableError
from storage.mongo.followed import Followed

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Source:
    """A text with a version, that can be unavailable."""

    def __init__(self, text="a"):
        self.text, self.number, self.reads = text, 1, 0
        self.at = NOON
        self.available = True
        self.told = []
        self.before_reading = lambda: None

    async def version(self):
        if not self.available:
            raise DatabaseUnavailableError("gone")
        return self.number

    async def read(self):
        await self.version()
        self.reads += 1
        text = self.text
        self.before_reading()
        return text

    def change(self, text):
        self.text, self.number = text, self.number + 1

    def follow(self, *, versions=True, on_change=None):
        version = self.version if versions else None
        return Followed(self.read, on_change or self.told.append, version=version, now=lambda: self.at)


@pytest.mark.parametrize("versions", [True, False], ids=["by version", "compared"])
async def test_a_change_is_told_once(versions):
    source = Source()
    followed = source.follow(versions=versions)
    assert followed.value is None
    for change in (None, None, "b", None):
        if change:
            source.change(change)
        await followed.refresh()
    assert (source.told, followed.value) == (["a", "b"], "b")
    assert source.reads == (2 if versions else 4)


async def test_what_this_process_changed_while_it_was_read_is_not_replaced_by_what_was_there_before():
    source = Source()
    followed = source.follow()

    def change_here():
        source.before_reading = lambda: None
        source.change("own")
        followed.put("own")

    source.before_reading = change_here
    await followed.refresh()
    assert (followed.value, source.told) == ("own", ["own"])


async def test_what_another_process_changed_later_holds_though_an_earlier_one_is_put_meanwhile():
    source = Source("newest")
    followed = source.follow()

    def put_earlier():
        source.before_reading = lambda: None
        followed.put("own")

    source.before_reading = put_earlier
    await followed.refresh()
    assert (followed.value, source.told) == ("newest", ["own", "newest"])


async def test_what_nobody_foresaw_ends_following_and_is_tried_again():
    source, wrong = Source(), [RuntimeError("unforeseen")]

    def fail_once(text):
        if wrong:
            raise wrong.pop()
        source.told.append(text)

    followed = source.follow(on_change=fail_once)
    with pytest.raises(RuntimeError, match="unforeseen"):
        await followed.run()
    assert (followed.value, followed.behind_since) == ("a", NOON)
    await followed.refresh()
    assert (source.reads, followed.behind_since) == (2, None)
