from hypothesis import given
from hypothesis import strategies as st

from storage.derived.sessions.loops import MAX_APART, MIN_TIMES, ToolLoop, find_loops


def call(number, *tools, agent=None):
    """A call with tool calls, each a name and a checksum; without the latter where nothing of the arguments is kept."""
    usages = [{"tool": tool} | ({} if checksum is None else {"checksum": checksum}) for tool, checksum in tools]
    return {"_id": number, "tool_usages": usages, "agent": {"id": agent}}


LS = ("ls", 1)


def test_the_same_tool_with_the_same_arguments_again_and_again_is_a_loop():
    calls = [call(1, LS), call(2, ("rm", 1)), call(3, LS, ("ls", 2)), call(4), call(5, LS), call(6, LS)]
    assert find_loops(calls) == [ToolLoop("ls", None, (1, 3, 5, 6))]
    assert find_loops(calls[:4]) == []


def test_what_is_far_apart_is_no_loop():
    others = [(f"other-{number}", 1) for number in range(MAX_APART)]
    assert find_loops([call(1, LS), call(2, LS), call(3, *others), call(4, LS)]) == []


def test_each_agent_goes_round_by_itself():
    calls = [call(1, LS), call(2, LS, agent="a"), call(3, LS), call(4, LS, agent="a"), call(5, LS, agent="a")]
    assert find_loops(calls) == [ToolLoop("ls", "a", (2, 4, 5))]


def test_what_is_not_known_of_arguments_is_not_equal():
    assert find_loops([call(number, ("ls", None)) for number in range(9)] + [{"_id": 10}]) == []


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=3), max_size=20))
def test_a_loop_is_made_of_equal_calls_only(tools):
    calls = [call(number, *each) for number, each in enumerate(tools)]
    for loop in find_loops(calls):
        assert len(loop.interception_ids) >= MIN_TIMES
        assert list(loop.interception_ids) == sorted(loop.interception_ids)
        assert all(any(tool == loop.tool for tool, _ in tools[number]) for number in loop.interception_ids)
