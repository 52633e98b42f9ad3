"""The invented calls of a day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import uuid4

import bson
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from intercept.blocks import unpack
from intercept.ids import FIRST_EXAMPLE, LAST_EXAMPLE, is_example
from intercept.records import EndReason
from storage.accounts.tokens.text import split_token
from storage.accounts.users import Role, checked_group_name, checked_username
from storage.aggregation.sessions.threads import Threads
from storage.costs.prices import Prices
from storage.examples.days import calls_of, refusals_of
from storage.examples.filling import _PROVIDERS, _recorded
from storage.examples.ids import example_id
from storage.examples.people import (
    company_of,
    group_documents,
    policy_documents,
    token_documents,
    user_documents,
    username_of,
)
from storage.policies.documents import read_document
from storage.recording.documents import ending_fields, start_document

UNTIL = datetime(2026, 11, 27, 12, tzinfo=UTC)
AS_KEPT = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
FRIDAY, SUNDAY = date(2026, 11, 27), date(2026, 11, 22)


@given(st.integers())
def test_ids_of_what_is_invented_tell_it_from_everything_else(seed):
    random = Random(seed)
    assert all(is_example(example_id(random)) for _ in range(20))
    assert not is_example(uuid4())
    assert FIRST_EXAMPLE < example_id(random) < LAST_EXAMPLE
    assert example_id(random).version == 8


def test_the_same_seed_invents_the_same_and_another_one_something_else():
    company = company_of(1)
    assert company == company_of(1)
    assert calls_of(company, 1, FRIDAY, UNTIL) == calls_of(company, 1, FRIDAY, UNTIL)
    assert refusals_of(company, 1, FRIDAY, UNTIL) == refusals_of(company, 1, FRIDAY, UNTIL)
    assert {one.id for one in company_of(2).people}.isdisjoint(one.id for one in company.people)


def test_people_have_names_that_nobody_has_and_tokens_that_nobody_can_use():
    company = company_of(1)
    assert len(company.people) == 25
    assert {checked_username(username_of(one)).endswith("@example.com") for one in company.people} == {True}
    assert [checked_group_name(name) for name in company.groups] == [
        "platform",
        "data",
        "mobile",
        "research",
        "support",
    ]
    assert Role.OWNER not in {one.role for one in company.people}
    (digest,) = {one["secret_sha256"] for one in token_documents(company, UNTIL)}
    assert split_token(f"{company.people[0].token_id}-") is None
    assert len(digest) == 32
    assert {one["cost_centre"] for one in user_documents(company, UNTIL)} == {
        "CC-1100",
        "CC-1200",
        "CC-1300",
        "CC-2100",
        "CC-3100",
    }


def test_a_group_whose_name_is_taken_has_another_one():
    names = [one["name"] for one in group_documents(company_of(1), {"data"}, UNTIL)]
    assert names == ["platform", "data-example", "mobile", "research", "support"]


def test_the_budget_of_a_group_is_nearly_used_up():
    company = company_of(1)
    names = {id_: name for name, id_ in company.groups.items()}
    platform, *_ = [read_document(one).policy for one in policy_documents(company, 930, names, UNTIL)]
    assert platform.limits.together.budget.micro_dollars == 1_000_000_000


def test_a_working_day_has_calls_of_all_kinds_in_office_hours():
    calls = calls_of(company_of(1), 1, FRIDAY - timedelta(days=1), UNTIL)
    assert {call.start.client for call in calls} == {
        "Claude Code",
        "Codex",
        "Gemini CLI",
        "OpenAI SDK (Python)",
        "Anthropic SDK (JavaScript)",
    }
    assert {call.ending.end_reason for call in calls} == {
        EndReason.COMPLETED,
        EndReason.UPSTREAM_ERROR,
        EndReason.CLIENT_DISCONNECTED,
    }
    in_office = sum(7 <= call.start.started_at.hour < 20 for call in calls)
    assert in_office > 0.8 * len(calls) > 200
    assert any(call.start.retry_count for call in calls)
    assert any(call.ending.reading.model_thoughts for call in calls)
    assert all(call.start.tags["project"] for call in calls)
    reads = [usage.cache_read_input_tokens for call in calls for usage in call.ending.reading.token_usages]
    assert max(reads) > 20_000


def test_other_agents_are_asked_and_work_while_the_one_that_asked_waits():
    calls = calls_of(company_of(1), 1, FRIDAY - timedelta(days=1), UNTIL)
    by_session = {}
    for call in calls:
        by_session.setdefault(call.start.client_session_id, []).append(call)
    others = [call for call in calls if call.start.agent.id]
    assert {call.start.agent.hints["agent_type"] for call in others} == {"Explore", "Plan", "code-reviewer"}
    assert {call.start.client for call in others} == {"Claude Code"}
    for call in others:
        own = [one for one in by_session[call.start.client_session_id] if one.start.agent.id is None]
        assert any(usage.tool == "Task" for one in own for usage in one.ending.reading.tool_usages)
        assert not any(one.start.started_at <= call.start.started_at < one.ending.ended_at for one in own)


def test_a_weekend_has_few_calls_and_the_present_day_none_of_later():
    company = company_of(1)
    assert (
        0 < len(calls_of(company, 1, SUNDAY, UNTIL)) < len(calls_of(company, 1, SUNDAY - timedelta(days=2), UNTIL)) / 3
    )
    today = calls_of(company, 1, FRIDAY, UNTIL)
    assert today
    assert max(call.ending.ended_at for call in today) <= UNTIL
    assert all(one.at <= UNTIL for one in refusals_of(company, 1, FRIDAY, UNTIL))


def test_blocks_of_a_session_go_on_or_break():
    calls = [
        call for call in calls_of(company_of(1), 1, FRIDAY - timedelta(days=1), UNTIL) if call.start.client_session_id
    ]
    systems = {}
    for call in calls:
        systems.setdefault(call.start.client_session_id, set()).add(unpack(call.start.blocks).system)
    assert {len(one) for one in systems.values()} >= {1, 2}


@pytest.mark.gen_test
async def test_calls_are_linked_as_the_job_of_threads_links_them(database):
    company = company_of(1)
    of_one = company.people[0].id
    calls = [one for one in calls_of(company, 1, FRIDAY - timedelta(days=1), UNTIL) if one.start.initiator_id == of_one]
    assert any(call.parent_id for call in calls)
    made = {one["_id"]: one for one in _recorded(Prices(_PROVIDERS), calls, Random(1))}
    await database.interceptions.insert_many(
        start_document(start, instance_id=uuid4(), new_id=uuid4) | ending_fields(ending, new_id=uuid4)
        for start, ending, _, _ in calls
    )
    threads = Threads(database, now=lambda: UNTIL)
    while await database.interceptions.find_one({"unlinked": {"$exists": True}}) is not None:
        assert await threads.link_pending()
    names = ("parent_id", "root_id", "session_id", "tool_results", "answered_tool_call_id")
    async for linked in database.interceptions.find():
        own = bson.decode(bson.encode(made[linked["_id"]], codec_options=AS_KEPT), codec_options=AS_KEPT)
        assert {name: own.get(name) for name in names} == {name: linked.get(name) for name in names}
        assert [one.get("result") for one in own["tool_usages"]] == [one.get("result") for one in linked["tool_usages"]]
