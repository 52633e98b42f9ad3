from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pymongo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of
from limits.limiter import Limiter
from storage.admission.ledger import (
    READ_MS,
    SKEW_MS,
    Ask,
    Counted,
    Rate,
    RateLimit,
    Ruling,
    Used,
    ledger_of_key,
    ledger_of_user,
    update,
    usage,
)
from tests.limits.clock import Clock

MS = 1_000_000
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)
WINDOW = RateLimit(2, 10_000)


def at(time, value):
    """An update or a projection in which the clock of the database stands at that time."""
    if isinstance(value, dict):
        return {name: at(time, one) for name, one in value.items()}
    if isinstance(value, list):
        return [at(time, one) for one in value]
    return time if value == "$$NOW" else value


def later(**duration):
    return NOON + timedelta(**duration)


class Ledger:
    """A ledger in the database, of which a test says how late it is."""

    def __init__(self, collection):
        self.collection = collection
        self.id = uuid4().hex
        self.now = NOON

    def __call__(self, **ask):
        ask = {"process": ADA, "number": 7, "wanted": 1, "held": 0, "slots": None, "lease_ms": 30_000} | ask
        if "key" in ask:
            ask["rates"] = (Counted(ask.pop("key"), ask.pop("rate")),)
        document = self.collection.find_one_and_update(
            {"_id": self.id},
            at(self.now, update(Ask(**ask))),
            upsert=True,
            return_document=pymongo.ReturnDocument.AFTER,
        )
        (share,) = [share for share in document["shares"] if share["process"] == ask["process"]]
        return Ruling.of(share["ruling"])

    def document(self):
        return self.collection.find_one({"_id": self.id}, {"_id": 0})

    def usage(self, rate=None, user_rate=None):
        pipeline = [{"$match": {"_id": self.id}}, {"$project": at(self.now, usage(rate, user_rate))}]
        (told,) = self.collection.aggregate(pipeline)
        return told


@pytest.fixture(scope="module")
def collection(mongodb_uri):
    client = pymongo.MongoClient(mongodb_uri, tz_aware=True, uuidRepresentation="standard", w=1)
    database = client[f"test-{uuid4().hex}"]
    yield database.admissions
    client.drop_database(database)
    client.close()


@pytest.fixture
def ledger(collection):
    return Ledger(collection)


def test_what_an_update_leaves_behind_is_all_that_is_known(ledger):
    assert ledger(wanted=2, held=3, slots=9, key="a", rate=WINDOW) == Ruling(
        number=7, granted=2, free=6, now=NOON, rates=(Used(0, NOON, NOON),)
    )
    assert ledger.document() == {
        "shares": [
            {
                "process": ADA,
                "slots": 5,
                "until": later(seconds=30),
                "ruling": {
                    "number": 7,
                    "now": NOON,
                    "free": 6,
                    "granted": 2,
                    "rates": [{"used": 0, "next_at": NOON, "last_at": NOON}],
                },
            }
        ],
        "rates": [{"key": "a", "log": [NOON, NOON], "until": later(seconds=10)}],
        "expires_at": later(seconds=30),
    }


def test_slots_are_granted_up_to_the_limit_of_all_processes_together(ledger):
    assert ledger(process=ADA, wanted=2, slots=5).granted == 2
    assert ledger(process=BOB, wanted=9, slots=5).granted == 3
    assert (ledger(process=ADA, held=2, slots=5).granted, ledger(process=BOB, held=3, slots=5).granted) == (0, 0)
    assert ledger(process=BOB, wanted=0, held=1, slots=5).granted == 0
    assert ledger(process=ADA, wanted=9, held=2, slots=5).granted == 2


def test_a_process_that_holds_nothing_is_remembered_until_it_has_read_its_ruling(ledger):
    ledger(slots=5)
    ledger(wanted=0, held=0, slots=5)
    (share,) = ledger.document()["shares"]
    assert (share["slots"], share["until"]) == (0, later(milliseconds=READ_MS))
    assert ledger.document()["expires_at"] == later(milliseconds=READ_MS)
    ledger.now = later(milliseconds=READ_MS)
    ledger(process=BOB, slots=5)
    assert [share["process"] for share in ledger.document()["shares"]] == [BOB]


def test_the_slots_of_a_process_that_says_nothing_are_free_when_its_lease_is_over_and_not_before(ledger):
    ledger(process=ADA, slots=1)
    ledger.now = later(seconds=30, milliseconds=-1)
    assert ledger(process=BOB, slots=1).granted == 0
    ledger.now = later(seconds=30)
    assert ledger(process=BOB, slots=1).granted == 1
    assert [share["process"] for share in ledger.document()["shares"]] == [BOB]


def test_more_slots_than_there_are_grant_none_and_take_none_away(ledger):
    ledger(process=ADA, wanted=0, held=7, slots=5)
    assert ledger(process=BOB, slots=5) == Ruling(number=7, granted=0, free=-2, now=NOON)
    assert ledger(process=ADA, held=7, slots=5).granted == 0
    assert [share["slots"] for share in ledger.document()["shares"]] == [0, 7]


def test_a_refusal_by_the_slots_leaves_the_rate_as_it_was_and_the_other_way_round(ledger):
    assert ledger(held=0, slots=1, key="a", rate=WINDOW).granted == 1
    assert ledger(held=1, slots=1, key="a", rate=WINDOW) == Ruling(
        number=7, granted=0, free=0, now=NOON, rates=(Used(1, None, NOON),)
    )
    assert ledger(held=0, slots=1, key="a", rate=WINDOW).granted == 1
    assert ledger(held=0, slots=1, key="a", rate=WINDOW) == Ruling(
        number=7, granted=0, free=1, now=NOON, rates=(Used(2, NOON, NOON),)
    )
    assert [share["slots"] for share in ledger.document()["shares"]] == [0]


def test_keys_of_one_ledger_never_limit_one_another_and_idle_ones_are_forgotten(ledger):
    assert [ledger(key=key, rate=WINDOW).granted for key in "abbaab"] == [1, 1, 1, 1, 0, 0]
    ledger.now = later(seconds=9)
    ledger(key="c", rate=WINDOW)
    assert sorted(rate["key"] for rate in ledger.document()["rates"]) == ["a", "b", "c"]
    ledger.now = later(seconds=10)
    ledger(key="c", rate=WINDOW)
    assert [rate["key"] for rate in ledger.document()["rates"]] == ["c"]


def test_writing_down_slots_leaves_rates_alone(ledger):
    ledger(slots=5, key="a", rate=RateLimit(2, 60_000))
    before = ledger.document()
    ledger(wanted=0, held=0, slots=5)
    assert ledger.document()["rates"] == before["rates"]
    assert ledger.document()["expires_at"] == later(seconds=60)


@pytest.mark.parametrize("key", ["$name", "$$NOW.x", "a.b", "", "\N{SNOWMAN}\0"])
def test_a_key_may_be_any_text(ledger, key):
    assert [ledger(key=key, rate=RateLimit(1, 1000)).granted for _ in range(2)] == [1, 0]
    assert ledger.document()["rates"][0]["key"] == key


def test_each_of_those_who_asked_together_is_told_what_is_left_after_it(ledger):
    rate = RateLimit(3, 10_000)
    ledger(key="a", rate=rate)
    ledger.now = later(seconds=4)
    ruling = ledger(wanted=4, key="a", rate=rate)
    assert [ruling.left([rate], nth)[0] for nth in range(4)] == [
        Rate(limit=3, remaining=1, retry_after_ns=0, reset_ns=10_000 * MS),
        Rate(limit=3, remaining=0, retry_after_ns=6000 * MS, reset_ns=10_000 * MS),
        Rate(limit=3, remaining=0, retry_after_ns=6000 * MS, reset_ns=10_000 * MS),
        Rate(limit=3, remaining=0, retry_after_ns=6000 * MS, reset_ns=10_000 * MS),
    ]


def test_a_limit_that_was_lowered_waits_until_enough_admissions_have_left(ledger):
    for seconds in range(4):
        ledger.now = later(seconds=seconds)
        ledger(key="a", rate=RateLimit(4, 10_000))
    ruling = ledger(key="a", rate=WINDOW)
    assert (ruling.granted, ruling.rates[0].next_at) == (0, later(seconds=2))
    assert ruling.left([WINDOW], 0)[0].remaining == 0


def test_ten_thousand_admissions_fit(ledger):
    rate = RateLimit(10_000, 60_000)
    assert ledger(wanted=20_000, key="a", rate=rate).granted == 10_000
    assert ledger(key="a", rate=rate).granted == 0


def test_an_update_that_was_overtaken_writes_no_time_before_the_last(ledger):
    ledger.now = later(milliseconds=100)
    ledger(key="a", rate=WINDOW)
    ledger.now = NOON
    assert ledger(key="a", rate=WINDOW).granted == 1
    assert ledger.document()["rates"][0]["log"] == [later(milliseconds=100)] * 2
    assert ledger(key="a", rate=WINDOW).left([WINDOW], 0)[0].retry_after_ns == 10_100 * MS


def test_a_clock_that_was_set_back_an_hour_costs_a_second_more_than_the_window(ledger):
    ledger.now = later(hours=1)
    ledger(wanted=2, slots=2, key="a", rate=WINDOW)
    ledger.now = NOON
    ruling = ledger(process=BOB, slots=2, key="a", rate=WINDOW)
    assert (ruling.granted, ruling.free) == (0, 0)
    assert ruling.left([WINDOW], 0)[0].retry_after_ns == (WINDOW.window_ms + SKEW_MS) * MS
    ledger(process=BOB, wanted=0, slots=2)
    ledger.now = later(seconds=31)
    assert ledger(process=BOB, slots=2).granted == 1


def test_what_is_used_is_told_without_a_change(ledger):
    ledger(process=ADA, wanted=2, slots=9, key="a", rate=WINDOW)
    ledger(process=BOB, slots=9, key="b", rate=WINDOW)
    before = ledger.document()
    ledger.now = later(seconds=5)
    assert ledger.usage(WINDOW) == {
        "_id": ledger.id,
        "now": later(seconds=5),
        "slots": 3,
        "rates": [
            {"key": "a", "used": 2, "next_at": NOON, "last_at": NOON},
            {"key": "b", "used": 1, "next_at": None, "last_at": NOON},
        ],
    }
    ledger.now = later(seconds=30)
    assert ledger.usage(WINDOW)["slots"] == 0
    assert [rate["used"] for rate in ledger.usage(WINDOW)["rates"]] == [0, 0]
    assert "rates" not in ledger.usage()
    assert ledger.document() == before


def test_two_rates_of_one_request_are_counted_both_or_neither(ledger):
    three, user = RateLimit(3, 10_000), Counted("user", RateLimit(4, 10_000))
    both = {key: (Counted(key, three), user) for key in "ab"}
    first = ledger(wanted=3, rates=both["a"])
    assert (first.granted, first.left([three, user.limit], 2)[0].remaining) == (3, 0)
    ruling = ledger(wanted=2, rates=both["b"])
    assert (ruling.granted, [used.used for used in ruling.rates]) == (1, [0, 3])
    assert [rate.remaining for rate in ruling.left([three, user.limit], 1)] == [2, 0]
    before = {rate["key"]: len(rate["log"]) for rate in ledger.document()["rates"]}
    assert before == {"a": 3, "b": 1, "user": 4}
    assert [ledger(rates=both[key]).granted for key in "ab"] == [0, 0]
    assert {rate["key"]: len(rate["log"]) for rate in ledger.document()["rates"]} == before


def test_the_users_own_rate_is_told_apart_from_those_of_tokens(ledger):
    user = RateLimit(4, 10_000)
    ledger(rates=(Counted("a", WINDOW), Counted(ledger.id, user)))
    told = ledger.usage(WINDOW, user)
    assert [rate["key"] for rate in told["rates"]] == ["a"]
    assert told["user_rates"] == [{"key": ledger.id, "used": 1, "next_at": None, "last_at": NOON}]
    assert "rates" not in ledger.usage(None, user)


def test_ledgers_are_named_for_what_they_count():
    assert (ledger_of_user("7"), ledger_of_key("7")) == ("user:7", "key:7")


steps = st.integers(0, 40)


@settings(max_examples=30)
@given(
    limit=st.integers(1, 4),
    window_ms=st.integers(1, 30),
    arrivals=st.lists(st.tuples(steps, st.sampled_from("ab"), st.integers(1, 3)), min_size=1, max_size=12),
)
def test_a_ledger_decides_as_the_window_of_one_process_does(collection, limit, window_ms, arrivals):
    ledger, clock, rate = Ledger(collection), Clock(), RateLimit(limit, window_ms)
    limiter = Limiter(clock)
    for step, key, wanted in arrivals:
        clock.advance(step * MS)
        ledger.now += timedelta(milliseconds=step)
        ruling = ledger(wanted=wanted, key=key, rate=rate)
        for nth in range(wanted):
            decision = limiter.start([Limit(Kind.RATE, Rule.RATE, Of.TOKEN, key, limit, window_ms * MS)])
            told, (state,) = ruling.left([rate], nth)[0], decision.states
            assert (nth < ruling.granted) == (decision.ticket is not None)
            assert told.remaining == state.remaining
            if nth >= ruling.granted - 1:
                assert (told.retry_after_ns, told.reset_ns) == (state.retry_after_ns, state.reset_ns)


@settings(max_examples=30)
@given(
    limit=st.integers(1, 4),
    user_limit=st.integers(1, 6),
    window_ms=st.integers(1, 30),
    arrivals=st.lists(st.tuples(steps, st.sampled_from("ab"), st.integers(1, 3)), min_size=1, max_size=12),
)
def test_a_ledger_decides_on_two_rates_as_one_process_does(collection, limit, user_limit, window_ms, arrivals):
    ledger, clock = Ledger(collection), Clock()
    rates = RateLimit(limit, window_ms), RateLimit(user_limit, window_ms)
    limiter = Limiter(clock)
    for step, key, wanted in arrivals:
        clock.advance(step * MS)
        ledger.now += timedelta(milliseconds=step)
        ruling = ledger(wanted=wanted, rates=(Counted(key, rates[0]), Counted("user", rates[1])))
        limits = [
            Limit(Kind.RATE, Rule.RATE, Of.TOKEN, key, limit, window_ms * MS),
            Limit(Kind.RATE, Rule.USER_RATE, Of.USER, "user", user_limit, window_ms * MS),
        ]
        assert ruling.granted == sum(limiter.start(limits).ticket is not None for _ in range(wanted))
        left = ruling.left(rates, wanted - 1)
        assert [rate.remaining for rate in left] == [state.remaining for state in limiter.states(limits)]


@settings(max_examples=30)
@given(
    limit=st.integers(1, 4),
    window_ms=st.integers(1, 10_000),
    arrivals=st.lists(st.integers(0, 5000), min_size=1, max_size=10),
)
def test_waiting_as_long_as_told_succeeds_and_any_less_does_not(collection, limit, window_ms, arrivals):
    ledger, rate = Ledger(collection), RateLimit(limit, window_ms)
    for step in arrivals:
        ledger.now += timedelta(milliseconds=step)
        ruling = ledger(key="a", rate=rate)
        if not ruling.granted:
            wait_ms = ruling.left([rate], 0)[0].retry_after_ns // MS
            ledger.now += timedelta(milliseconds=wait_ms - 1)
            assert ledger(key="a", rate=rate).granted == 0
            ledger.now += timedelta(milliseconds=1)
            assert ledger(key="a", rate=rate).granted == 1


@settings(max_examples=30)
@given(
    limit=st.integers(1, 3),
    window_ms=st.integers(1, 2000),
    arrivals=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 5000)), min_size=1, max_size=15),
)
def test_a_clock_that_is_set_back_again_and_again_never_admits_too_many(collection, limit, window_ms, arrivals):
    ledger, rate, truth, admissions = Ledger(collection), RateLimit(limit, window_ms), 0, []
    for elapsed, set_back in arrivals:
        truth += elapsed
        ledger.now += timedelta(milliseconds=elapsed - set_back)
        admissions += [truth] * ledger(wanted=2, key="a", rate=rate).granted
    assert all(admissions[i + limit] - admissions[i] >= window_ms for i in range(len(admissions) - limit))


@settings(max_examples=30)
@given(
    limit=st.integers(1, 4),
    moves=st.lists(st.tuples(st.sampled_from([ADA, BOB]), st.integers(-2, 3)), min_size=1, max_size=15),
)
def test_no_order_of_taking_and_giving_back_has_more_slots_taken_than_there_are(collection, limit, moves):
    ledger, held = Ledger(collection), {ADA: 0, BOB: 0}
    for process, change in moves:
        held[process] = max(0, held[process] + min(change, 0))
        wanted, free = max(change, 0), limit - sum(held.values())
        written = ledger.document() or {"shares": []}
        others = sum(share["slots"] for share in written["shares"] if share["process"] != process)
        ruling = ledger(process=process, wanted=wanted, held=held[process], slots=limit)
        assert ruling.granted == min(wanted, limit - held[process] - others)
        assert ruling.granted <= free
        held[process] += ruling.granted
        assert sum(held.values()) <= limit
