from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.derived.sessions.grouping import MAX_PAUSE, find_retries
from tests.cases import for_each
from tests.storage.records import NOON


def call(number, *, at=None, took=1, is_failed=True, fingerprint=b"f", **more):
    """A call that has ended and began so many seconds after noon, by default its number."""
    started = NOON + timedelta(seconds=number if at is None else at)
    return {
        "_id": number,
        "started_at": started,
        "ended_at": started + timedelta(seconds=took),
        "status": "failed" if is_failed else "completed",
        "fingerprint": fingerprint,
    } | more


def links(*calls):
    """What is found of calls: each one's attempt and the one before, by number; and which have a retry now."""
    retried = find_retries(calls, [one for one in calls if one["status"] == "failed"])
    found = {one["_id"]: (one["attempt"], one.get("retry_of")) for one in calls if "attempts" in one}
    assert {before for _, before in found.values()} - {None} == set(retried)
    return found


@for_each(
    "second",
    call(2, fingerprint=b"other"),
    call(2, at=1.5),
    call(2, at=MAX_PAUSE.total_seconds() + 2.001),
    call(2, presumed=True),
    call(2, attempt=7),
    ids=["another request", "before the first had ended", "too late", "an end that is presumed", "known before"],
)
def test_nothing_else_is_a_retry(second):
    assert links(call(1), call(2)) == {2: (1, 1)}
    assert links(call(1), second) == {}


timed = st.builds(
    lambda at, took, is_failed, print_, count: (at, took, is_failed, print_, count),
    st.integers(0, 1200),
    st.integers(0, 30),
    st.booleans(),
    st.sampled_from([b"f", b"g"]),
    st.integers(0, 3),
)


@given(st.lists(timed, max_size=12), st.integers(0, 12))
def test_tries_make_rows_in_time_wherever_they_are_split(kinds, split):
    calls = [
        call(
            number,
            at=at,
            took=took,
            is_failed=is_failed,
            fingerprint=print_,
            **({"retry_count": count} if count else {}),
        )
        for number, (at, took, is_failed, print_, count) in enumerate(sorted(kinds))
    ]
    by_id = {one["_id"]: one for one in calls}
    retried = set()
    for part in calls[:split], calls[split:]:
        seen = calls[:split] if part is calls[:split] else calls
        failed = [one for one in seen if one["status"] == "failed" and one["_id"] not in retried]
        new = find_retries(part, failed)
        assert len(set(new)) == len(new)
        assert not retried & set(new)
        retried |= set(new)
    for one in calls:
        if (before := one.get("retry_of")) is None:
            continue
        earlier = by_id[before]
        assert earlier["status"] == "failed"
        assert earlier["fingerprint"] == one["fingerprint"]
        assert timedelta() <= one["started_at"] - earlier["ended_at"] <= MAX_PAUSE
        assert one["attempt"] > earlier.get("attempt", earlier.get("retry_count", 0))
        assert one["attempts"] == one["attempt"] + 1
