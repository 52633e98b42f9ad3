"""Groups equal the sums of their calls, from every source."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

from intercept.records import EndReason, Status
from storage.derived.recount import counted_until
from storage.derived.rollup import TOKENS, add, summed
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.filters.search_language import parse_search
from storage.queries.questions import questions as questions_module
from storage.queries.questions import reading as reading_module
from storage.queries.questions.calendar import Period, floor
from storage.queries.questions.groups import TooManyPointsError, TooMuchError, UnsupportedOrderError
from storage.queries.questions.plan import selection_of
from storage.queries.questions.question import By, Counted, Dimension, Order, Question, has_many, parse_by
from storage.queries.questions.questions import Questions
from tests.derived import derive
from tests.examples import examples
from tests.storage.rollup_checks import MIDNIGHT, Call, totals_of_call, write

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
RESEARCH, OPS = UUID(int=0xE5), UUID(int=0x095)
DAY, HOUR = 86_400, 3_600
THREE_DAYS = Question(MIDNIGHT, MIDNIGHT + timedelta(days=3))
USER, MODEL = By(Dimension.USER), By(Dimension.MODEL)


async def count(database, *calls, ends=None):
    ends = ends or [{} for _ in calls]
    await write(
        database,
        *(call.start for call in calls),
        *(call.end(**end) for call, end in zip(calls, ends, strict=True)),
    )
    await derive(database, now=lambda: MIDNIGHT)


def by(*names):
    return tuple(map(parse_by, names))


def nonzero(totals):
    return {name: value for name, value in totals.items() if value}


def figures(points):
    return {at: nonzero(totals) for at, totals in points.items()}


def total_of(over_time):
    """What is in the time range of a query, of what is in that and in the one before."""
    return summed((True, totals) for (is_now, _), totals in over_time.items() if is_now).get(True, {})


def times_of(response):
    now = {(True, at): one for at, one in response.total.points.items()}
    return now | {(False, at): one for at, one in response.total.points_before.items()}


def points_of(response):
    return {(one.key, at): one.points[at] for one in response.groups for at in one.points}


def check_rest(query, pages, groups):
    """What is in no group of a page is in the others, where no call is in two."""
    for page in pages if not any(has_many(Counted.CALLS, one) for one in query.by) else ():
        assert nonzero(page.others.total) == nonzero(summed((None, group.total) for group in groups).get(None, {}))


def keys_of(document, dimensions):
    single = {
        Dimension.USER: document["initiator_id"],
        Dimension.MODEL: document["model"],
        Dimension.PROVIDER: document["provider_name"],
        Dimension.CLIENT: document["client"],
        Dimension.TOKEN: document["api_key_id"],
        Dimension.END_REASON: document["end_reason"],
        Dimension.STREAMING: document["streaming"],
        Dimension.SESSION: document.get("session_id", document["_id"]),
        Dimension.HTTP_STATUS: document["upstream_status"],
        Dimension.ERROR_TYPE: (document["error"] or {}).get("type"),
    }
    several = {
        Dimension.GROUP: document.get("group_ids") or [None],
        Dimension.TOOL: sorted({one["tool"] for one in document["tool_usages"]}) or [None],
    }
    keys = [()]
    for one in dimensions:
        if one.dimension is Dimension.TAG:
            values = [document.get("tags", {}).get(one.tag)]
        else:
            values = several.get(one.dimension) or [single[one.dimension]]
        keys = [(*key, value) for key in keys for value in values]
    return keys


def measured(order, totals, earlier, *, priced):
    """What is the more the sooner a group comes."""
    read, *other = (totals.get(f"{name}input_tokens", 0) for name in ("cache_read_", "cache_write_", ""))
    figure = "cost" if priced else "interceptions"
    now, before = (one.get(figure, 0) for one in (totals, earlier or {}))
    return {
        Order.CALLS: totals.get("interceptions", 0),
        Order.COST: totals.get("cost", 0),
        Order.TOKENS: sum(totals.get(name, 0) for name in TOKENS),
        Order.FAILED: totals.get("failed", 0),
        Order.CACHE: (Fraction(read, read + sum(other)), read + sum(other)) if read + sum(other) else (-1, 0),
        Order.CHANGE: (1, Fraction(now) / Fraction(before), now) if before else (2, now) if now else (0,),
    }[order]


CALLS = st.lists(
    st.tuples(
        st.integers(-2 * DAY, 4 * DAY - 1),
        st.sampled_from([ADA, BOB]),
        st.sampled_from("ab"),
        st.sampled_from(["openai", "eu"]),
        st.sampled_from("xy"),
        st.sampled_from(["laptop", "server"]),
        st.sampled_from([(), (RESEARCH,), (RESEARCH, OPS)]),
        st.sampled_from([(), ("Bash",), ("Bash", "Read", "Bash")]),
        st.sampled_from([(), (("project", "apollo"),), (("project", "zeus"), ("env", "ci"))]),
    ),
    max_size=8,
)
ENDS = st.fixed_dictionaries(
    {
        "tokens": st.sampled_from([None, 0, 5, 7, 10]),
        "end_reason": st.sampled_from([EndReason.COMPLETED, EndReason.UPSTREAM_ERROR]),
        "cached": st.sampled_from([0, 5]),
    }
)
DIMENSIONS = st.lists(
    st.sampled_from(
        [
            *("user", "model", "provider", "client", "token", "group", "end_reason", "streaming", "session"),
            *("http_status", "error_type", "tool", "tag.project", "tag.env"),
        ]
    ),
    max_size=2,
    unique=True,
)
SEARCHES = [
    *("", "-model:a", "client:x,y provider_name:eu", "status:failed", "end:completed model:a", "http:529,200"),
    *("tool:Bash", "tag:project=apollo", "-tag:project=apollo", "status:failed -error:other", "streaming:true"),
]


@settings(max_examples=examples(5, 120), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    calls=CALLS,
    names=DIMENSIONS,
    visible_to=st.sampled_from([None, ADA]),
    q=st.sampled_from(SEARCHES),
    period=st.sampled_from([Period.ALL, Period.HOUR, Period.DAY, Period.WEEK]),
    zone=st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")]),
    order=st.sampled_from([order for order in Order if order is not Order.P95]),
    has_prices=st.booleans(),
    data=st.data(),
)
def test_every_group_is_what_its_calls_add_up_to(
    io_loop, database, *, calls, names, visible_to, q, period, zone, order, has_prices, data
):
    ends = [data.draw(ENDS) for _ in calls]

    async def compare():
        await database.interceptions.delete_many({})
        await database.rollups.delete_many({})
        made = [Call(number, *row) for number, row in enumerate(calls)]
        await count(database, *made, ends=[{**end, "priced": has_prices} for end in ends])
        start = floor(period, MIDNIGHT - timedelta(hours=data.draw(st.sampled_from([0, 5]))), zone)
        query = Question(
            start=start,
            end=floor(period, MIDNIGHT + timedelta(days=8), zone),
            conditions=parse_search(q).filter(),
            by=by(*names),
            period=period,
            zone=zone,
            order=order,
            limit=100,
            compare=True,
            visible_to=visible_to,
        )
        questions = Questions(database, slice_calls=2)
        response = await questions.answer(query)
        selection = selection_of(query)
        before = query.previous
        groups, points, earlier, over_time = {}, {}, {}, {}
        async for document in database.interceptions.find({**selection.values, "status": {"$in": selection.statuses}}):
            at, totals = document["started_at"], totals_of_call(document)
            if before.start <= at < before.end or query.start <= at < query.end:
                add(over_time.setdefault((at >= query.start, floor(period, at, zone)), {}), totals)
            for key in keys_of(document, query.by):
                if before.start <= at < before.end:
                    add(earlier.setdefault(key, {}), totals)
                if query.start <= at < query.end:
                    add(groups.setdefault(key, {}), totals)
                    add(points.setdefault((key, floor(period, at, zone)), {}), totals)
        total = total_of(over_time)
        assert nonzero(response.total.total) == nonzero(total)
        if period is not Period.ALL:
            assert figures(times_of(response)) == figures(over_time)
            assert figures(points_of(response)) == figures(points if query.by else {})
        if not query.by:
            return
        assert response.count == len(groups)
        assert {one.key: nonzero(one.total) for one in response.groups} == {k: nonzero(v) for k, v in groups.items()}
        most = partial(measured, order, priced=bool(total.get("cost")))
        found = [most(one.total, one.previous) for one in response.groups]
        assert found == sorted((most(one, earlier.get(key)) for key, one in groups.items()), reverse=True)
        pages = [await questions.answer(replace(query, limit=3, offset=at)) for at in range(0, len(groups), 3)]
        assert [one.key for page in pages for one in page.groups] == [one.key for one in response.groups]
        for one in response.groups:
            assert nonzero(one.previous) == nonzero(earlier.get(one.key, {}))
        check_rest(query, pages[:1], response.groups[3:])

    io_loop.run_sync(compare, timeout=60)


async def test_the_slowest_groups_come_first(database):
    await count(
        database,
        *(Call(number, model=model) for number, model in enumerate("abc")),
        ends=[{"took": 5}, {"took": 50}, {"took": 2}],
    )
    for names in (("model",), ("model", "end_reason")):
        response = await Questions(database).answer(replace(THREE_DAYS, by=by(*names), order=Order.P95, limit=2))
        assert [group.key[0] for group in response.groups] == ["b", "a"]
        assert response.count == 3


async def test_tools_tags_and_errors_beside_agents_are_told_by_records(database):
    await count(database, Call(1), Call(2), Call(3), ends=[{}, {}, {"end_reason": EndReason.UPSTREAM_ERROR}])
    tools = [{"tool": "Bash"}, {"tool": "Read"}, {"tool": "Bash"}]
    first = {"tool_usages": tools, "tags": {"project": "apollo"}, "agent": {"id": "a1"}, "upstream_status": 200}
    await database.interceptions.update_one({"_id": UUID(int=1)}, {"$set": first})
    await database.interceptions.update_one(
        {"_id": UUID(int=3)}, {"$set": {"error": {"type": "overloaded", "message": "secret"}, "upstream_status": 529}}
    )
    named = {"agent": {"id": "a2", "parent_id": None, "hints": {"agent_type": "Explore"}}}
    await database.interceptions.update_one({"_id": UUID(int=2)}, {"$set": named})
    found = {}
    for name in ("tool", "tag.project", "error_type", "http_status", "agent"):
        names = (name,) if name == "agent" else (name, "agent")
        response = await Questions(database).answer(replace(THREE_DAYS, by=by(*names)))
        found[name] = Counter()
        for group in response.groups:
            found[name][group.key[0]] += group.total["interceptions"]
        assert response.total.total["interceptions"] == 3
    status = found.pop("http_status")
    assert (status[200], status[529]) == (2, 1)
    assert found == {
        "tool": {None: 2, "Bash": 1, "Read": 1},
        "tag.project": {"apollo": 1, None: 2},
        "error_type": {None: 2, "overloaded": 1},
        "agent": {None: 1, "a1": 1, "Explore": 1},
    }


async def test_what_the_prompt_cache_lost_is_told_of_rollups_and_of_records(database):
    calls = Call(1, model="a"), Call(2, model="a", initiator=BOB), Call(3, model="b")
    ends = calls[0].end(), calls[1].end(end_reason=EndReason.UPSTREAM_TRUNCATED), calls[2].end()
    await write(database, *(call.start for call in calls), *ends)
    loss = {"lost_tokens": 30, "lost": Decimal128("0.25"), "cause": "evicted"}
    await database.interceptions.update_many({"model": "a"}, {"$set": {"cache_loss": loss}})
    await derive(database, now=lambda: MIDNIGHT)
    for names in (("model",), ("model", "streaming")):
        response = await Questions(database).answer(replace(THREE_DAYS, by=by(*names)))
        lost = {group.key[0]: (group.total.get("lost_tokens"), group.total.get("lost")) for group in response.groups}
        assert lost == {"a": (60, Decimal("0.5")), "b": (None, None)}
        assert response.total.total["lost_tokens"] == 60
    mine = await Questions(database).answer(replace(THREE_DAYS, by=(MODEL,), visible_to=BOB))
    assert mine.total.total["lost_tokens"] == 30
    for status in (Status.COMPLETED, Status.FAILED):
        some = await Questions(database).answer(replace(THREE_DAYS, by=(MODEL,), conditions={"status": status.value}))
        assert some.total.total["lost_tokens"] == 30


async def test_until_when_all_is_counted_and_what_is_gone_is_told(database):
    await count(database, Call(1, second=60), Call(2, second=2 * DAY))
    counted = await counted_until(database)
    await write(database, Call(3).start, Call(3).end())
    by_model = await Questions(database).answer(replace(THREE_DAYS, by=(MODEL,)))
    assert (by_model.counted_until, by_model.total.total["interceptions"], by_model.recorded_since) == (
        counted,
        2,
        None,
    )
    by_end = replace(THREE_DAYS, by=by("agent"))
    assert (await Questions(database).answer(by_end)).total.total["interceptions"] == 3
    await database.interceptions.delete_many({"started_at": {"$lt": MIDNIGHT + timedelta(days=1)}})
    response = await Questions(database).answer(by_end)
    assert (response.recorded_since, response.total.total["interceptions"]) == (MIDNIGHT + timedelta(days=2), 1)


async def test_refusals_are_added_up(database):
    at = MIDNIGHT + timedelta(hours=1)
    rows = [("rate", ADA, 3), ("rate", BOB, 1), ("concurrency", ADA, 2)]
    await database.refusals.insert_many(
        {"at": at, "rule": rule, "initiator_id": user, "model": rule[0], "status": 429, "count": number}
        for rule, user, number in rows
    )
    refusals = replace(THREE_DAYS, of=Counted.REFUSALS, period=Period.DAY)

    async def numbers(query):
        response = await Questions(database).answer(query)
        assert all(one.points == {MIDNIGHT: one.total} for one in response.groups)
        return {one.key: one.total["refusals"] for one in response.groups}, response.total.total["refusals"]

    by_rule = replace(refusals, by=by("rule", "user"))
    assert await numbers(by_rule) == ({("rate", ADA): 3, ("rate", BOB): 1, ("concurrency", ADA): 2}, 6)
    assert await numbers(replace(by_rule, conditions={"rule": "rate"}, visible_to=BOB)) == ({("rate", BOB): 1}, 1)
    part = replace(by_rule, start=at, period=Period.HOUR, zone=ZoneInfo("Europe/Berlin"), by=by("rule"))
    response = await Questions(database).answer(part)
    assert [(one.key, one.points) for one in response.groups] == [
        (("rate",), {at: {"refusals": 4}}),
        (("concurrency",), {at: {"refusals": 2}}),
    ]
    models = {("r", 429): 4, ("c", 429): 2}, 6
    assert await numbers(replace(refusals, by=by("model", "http_status"))) == models
    assert await numbers(replace(refusals, by=by("model"), visible_to=BOB)) == ({("r",): 1}, 1)
    for order in (Order.COST, Order.CACHE):
        with pytest.raises(UnsupportedOrderError, match=f"refusals cannot be sorted by {order}"):
            await Questions(database).answer(replace(refusals, order=order))
    shadow = {"at": at, "rule": "tokens", "shadow": True, "initiator_id": ADA, "count": 9}
    await database.refusals.insert_one(shadow)
    assert await numbers(replace(refusals, by=by("model", "http_status"))) == models
    only_shadow = replace(refusals, by=by("rule"), conditions={"shadow": True})
    assert await numbers(only_shadow) == ({("tokens",): 9}, 9)
    days_before = {"at": at - timedelta(days=3), "rule": "rate", "count": 1, "initiator_id": ADA}
    await database.refusals.insert_one(days_before)
    changed = await Questions(database).answer(replace(by_rule, order=Order.CHANGE, compare=True))
    assert [one.key for one in changed.groups] == [("concurrency", ADA), ("rate", BOB), ("rate", ADA)]


async def test_sessions_are_added_up_by_when_they_started(database):
    session = {"started_at": MIDNIGHT, "client": "x", "failures": 1, "interceptions": 3, "priced": 1, "input_tokens": 5}
    models = [["a"], ["a", "b"]]
    await database.sessions.insert_many(
        {"_id": UUID(int=n), **session, "initiator_id": user, "models": models[n]} for n, user in enumerate([ADA, BOB])
    )
    sessions = replace(THREE_DAYS, of=Counted.SESSIONS, by=(MODEL,), order=Order.TOKENS)
    response = await Questions(database).answer(sessions)
    found = {one.key[0]: (one.total["sessions"], one.total["interceptions"]) for one in response.groups}
    assert (found, response.total.total["sessions"]) == ({"a": (2, 6), "b": (1, 3)}, 2)
    cached = {"$set": {"cache_read_input_tokens": 5}}
    await database.sessions.update_one({"_id": UUID(int=1)}, cached)
    for order, expected in ((Order.CACHE, ["b", "a"]), (Order.CHANGE, ["a", "b"])):
        ranked = await Questions(database).answer(replace(sessions, order=order, compare=True))
        assert [one.key[0] for one in ranked.groups] == expected
    mine = await Questions(database).answer(replace(sessions, by=(USER,), visible_to=ADA, conditions={"client": "x"}))
    assert [one.key for one in mine.groups] == [(ADA,)]


async def test_what_takes_too_long_or_is_too_much_is_given_up(database, monkeypatch):
    await count(database, Call(1), Call(2, model="b"))
    monkeypatch.setattr(questions_module, "MAX_POINTS", 1)
    with pytest.raises(TooManyPointsError):
        await Questions(database).answer(replace(THREE_DAYS, by=(MODEL,), period=Period.DAY))
    monkeypatch.setattr(questions_module, "MAX_RANKED", 1)
    for order in (Order.CACHE, Order.CHANGE):
        with pytest.raises(TooMuchError):
            await Questions(database).answer(replace(THREE_DAYS, by=(MODEL,), order=order, compare=True))
    for code, seconds, told in ((50, None, 20.0), (10334, None, 20.0), (50, 5.0, 5.0), (50, 0.0, 0.0)):

        async def fails(*_, code=code):
            raise OperationFailure("of the database", code)

        with monkeypatch.context() as patch:
            patch.setattr(reading_module.RowReader, "aggregate", fails)
            with pytest.raises(TooMuchError) as result:
                await Questions(database).answer(replace(THREE_DAYS, by=by("end_reason")), seconds=seconds)
        assert (result.value.calls, result.value.seconds) == (2, told)
    with pytest.raises(TooMuchError):
        await Questions(database).answer(replace(THREE_DAYS, by=by("agent", "model")))
    monkeypatch.setattr(questions_module, "SECONDS", -2.0)
    with pytest.raises(TooMuchError):
        await Questions(database).answer(replace(THREE_DAYS, by=(MODEL,)))
    database.health.lose("gone")
    with pytest.raises(DatabaseUnavailableError, match="gone"):
        await Questions(database).answer(THREE_DAYS)
