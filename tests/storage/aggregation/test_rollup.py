from datetime import UTC, datetime, timedelta
from uuid import UUID

from storage.aggregation.rollup import (
    Breakdown,
    Bucket,
    RollupKey,
)

MINUTE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)
RESEARCH, OPS = UUID(int=3), UUID(int=4)


def minute(initiator=ADA, provider="openai", provider_name="openai", model="gpt-5", *, client="Codex", at=MINUTE):
    return RollupKey(Breakdown.USER_COMBINATION, Bucket.MINUTE, at, (initiator, provider, provider_name, model, client))


def test_the_same_place_has_the_same_id_and_no_other_has_it():
    assert minute().id == minute().id
    others = [
        minute(initiator=BOB),
        minute(provider="openai-openai"),
        minute(provider="", provider_name="openaiopenai"),
        minute(provider="openaiopenai", provider_name=""),
        minute(model="$gpt-5"),
        minute(at=MINUTE + timedelta(minutes=1)),
        minute()._replace(bucket=Bucket.HOUR),
        RollupKey(Breakdown.MODEL, Bucket.MINUTE, MINUTE, ("gpt-5",)),
        RollupKey(Breakdown.CLIENT, Bucket.MINUTE, MINUTE, ("gpt-5",)),
    ]
    ids = {key.id for key in (minute(), *others)}
    assert len(ids) == 1 + len(others)
    assert {len(id_) for id_ in ids} == {16}
