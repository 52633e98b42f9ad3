from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from intercept.records import EndReason
from storage.aggregation.details import Detail, rollups_of_details
from storage.aggregation.rollup import BUCKETS, DETAILS, Breakdown, Bucket, RollupKey, add

MINUTE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)
COMPLETED = ("completed", 200, None, True)
FAILED = ("upstream_error", 529, "overloaded_error", False)
CRASHED = (EndReason.SERVER_CRASHED.value, None, None, True)


def detail(user=ADA, model="gpt-5", outcome=COMPLETED, *, at=MINUTE, tools=(), tags=()):
    return Detail(at, (user, "openai", "eu", model, "Codex"), outcome, tools, tags)


def key(breakdown, bucket, *values):
    return RollupKey(breakdown, bucket, bucket.floor(MINUTE), values)


def test_a_call_is_in_a_rollup_of_each_tool_and_of_each_tag():
    one = detail(tools=("Bash", "Read"), tags=(("project", "apollo"), ("env", "ci")))
    made = rollups_of_details([(one, {"interceptions": 1})])
    model = ("openai", "eu", "gpt-5")
    wanted = [
        (Breakdown.OUTCOME, *COMPLETED),
        (Breakdown.MODEL_OUTCOME, *model, *COMPLETED),
        (Breakdown.USER_OUTCOME, ADA, *COMPLETED),
        *((Breakdown.TOOL, tool) for tool in ("Bash", "Read")),
        *((Breakdown.MODEL_TOOL, *model, tool) for tool in ("Bash", "Read")),
        *((Breakdown.TAG, *tag) for tag in one.tags),
        *((Breakdown.MODEL_TAG, *model, *tag) for tag in one.tags),
        *((Breakdown.USER_TAG, ADA, *tag) for tag in one.tags),
    ]
    buckets = (Bucket.HOUR, Bucket.DAY)
    assert made == {key(place[0], bucket, *place[1:]): {"interceptions": 1} for place in wanted for bucket in buckets}
    assert {one.breakdown for one in made} == DETAILS
    assert all(BUCKETS[breakdown] == buckets for breakdown in DETAILS)


def test_a_call_without_tools_and_tags_is_in_the_rollup_of_no_tool():
    made = rollups_of_details([(detail(), {"interceptions": 1})])
    assert key(Breakdown.TOOL, Bucket.DAY, None) in made
    assert {one.breakdown for one in made} == {
        *(Breakdown.OUTCOME, Breakdown.MODEL_OUTCOME, Breakdown.USER_OUTCOME, Breakdown.TOOL, Breakdown.MODEL_TOOL)
    }


details = st.builds(
    detail,
    user=st.sampled_from([ADA, BOB]),
    model=st.sampled_from("ab"),
    outcome=st.sampled_from([COMPLETED, FAILED]),
    at=st.sampled_from([MINUTE, MINUTE + timedelta(minutes=1), MINUTE - timedelta(hours=3)]),
    tools=st.sampled_from([(), ("Bash",), ("Bash", "Read")]),
    tags=st.sampled_from([(), (("project", "apollo"),)]),
)
calls = st.lists(st.tuples(details, st.fixed_dictionaries({"interceptions": st.integers(-3, 3)})), max_size=8)


@given(calls, st.integers(0, 8))
def test_it_does_not_matter_how_calls_are_divided_among_runs(made, cut):
    total = {}
    for run in (made[:cut], made[cut:]):
        for place, totals in rollups_of_details(run).items():
            add(total.setdefault(place, {}), totals)
    assert total == rollups_of_details(made)


@given(calls)
def test_every_way_to_end_adds_up_to_all_calls(made):
    found = rollups_of_details(made)
    for breakdown in (Breakdown.OUTCOME, Breakdown.MODEL_OUTCOME, Breakdown.USER_OUTCOME):
        for bucket in (Bucket.HOUR, Bucket.DAY):
            totals = [one["interceptions"] for place, one in found.items() if place[:2] == (breakdown, bucket)]
            assert sum(totals) == sum(one["interceptions"] for _, one in made)


def test_a_presumed_end_was_counted_without_what_the_true_one_tells():
    one = detail(tools=("Bash",), tags=(("env", "ci"),))
    assert one.counted_as({"ends": {"server_crashed": 1}}) == one._replace(outcome=CRASHED, tools=())
    assert one.counted_as({"ends": {"completed": 1}}) is one
    presumed = detail(outcome=CRASHED)
    assert presumed.counted_as({"ends": {"server_crashed": 1}}) is presumed
