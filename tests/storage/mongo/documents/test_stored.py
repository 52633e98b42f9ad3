from datetime import UTC, datetime
from uuid import UUID

from storage.mongo.documents.stored import Stored

ID = UUID(int=1)
AT = datetime(2026, 11, 28, tzinfo=UTC)


class Thing(Stored, frozen=True):
    id: UUID
    name: str
    made_at: datetime
    words: tuple[str, ...] = ()


def test_a_struct_is_the_same_after_it_was_a_document():
    thing = Thing(ID, "a", AT, ("b", "c"))
    document = thing.document
    assert document == {"_id": ID, "schema_version": 1, "name": "a", "made_at": AT, "words": ("b", "c")}
    assert Thing.of(document) == thing


def test_an_older_document_has_defaults_and_a_later_one_fields_that_are_left_out():
    assert Thing.of({"_id": ID, "name": "a", "made_at": AT}) == Thing(ID, "a", AT)
    later = {"_id": ID, "id": UUID(int=2), "name": "a", "made_at": AT, "more": 1}
    assert Thing.of(later) == Thing(ID, "a", AT)
