"""The order of fallback providers, and which ones cannot replace one another."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.providers.fallback import MAX_WEIGHT, find_fault, find_order
from upstream.providers.presets import ProviderType

NAMES = st.lists(st.text("abc-", min_size=1, max_size=8), min_size=1, max_size=6, unique=True)
WEIGHTS = NAMES.flatmap(lambda names: st.fixed_dictionaries({name: st.integers(0, MAX_WEIGHT) for name in names}))
SESSIONS = [f"session-{number}" for number in range(4000)]


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_each_provider_is_asked_once_and_a_session_keeps_its_order(weights, session):
    order = find_order(weights, session)
    assert sorted(order) == sorted(weights)
    assert find_order(dict(weights), session) == order


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_without_a_weight_the_named_provider_and_its_order_stay(weights, session):
    named = next(iter(weights))
    assert find_order(weights | {named: 0}, session) == list(weights)


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_who_has_no_weight_comes_last_in_the_order_given(weights, session):
    weights[next(iter(weights))] = 1
    order = find_order(weights, session)
    without = [name for name in weights if not weights[name]]
    assert order[len(order) - len(without) :] == without


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_a_session_moves_only_if_its_own_provider_leaves(weights, session):
    weights[next(iter(weights))] = 1
    order = find_order(weights, session)
    for gone in order[1:]:
        rest = {name: weight for name, weight in weights.items() if name != gone}
        if rest[next(iter(rest))]:
            assert find_order(rest, session) == [name for name in order if name != gone]


@pytest.mark.parametrize(
    ("weights", "shares"), [((1, 1), (0.5, 0.5)), ((3, 1), (0.75, 0.25)), ((7, 2, 1), (0.7, 0.2, 0.1))]
)
def test_the_sessions_are_spread_as_the_weights_say(weights, shares):
    by_name = dict(zip("abc", weights, strict=False))
    first = Counter(find_order(by_name, session)[0] for session in SESSIONS)
    for name, share in zip(by_name, shares, strict=True):
        assert first[name] / len(SESSIONS) == pytest.approx(share, abs=0.03)


@for_each(
    ("type_", "other", "is_possible"),
    [
        ("openai", "azure", True),
        ("azure", "openai", True),
        ("openai", "vllm", True),
        ("anthropic", "claude-aws", True),
        ("anthropic", "foundry", True),
        ("anthropic", "bedrock-mantle", True),
        ("anthropic", "openai", False),
        ("gemini", "vertex", False),
        ("anthropic", "bedrock", False),
        ("vertex", "vertex", True),
        ("bedrock", "bedrock", True),
        ("openai", "copilot", False),
        ("openai", "chatgpt", False),
    ],
)
def test_only_who_serves_a_route_of_another_may_stand_in_for_it(type_, other, is_possible):
    fault = find_fault("a", ProviderType(type_), ["b"], {"a": ProviderType(type_), "b": ProviderType(other)})
    assert (fault == "") is is_possible, fault


def test_what_is_wrong_with_others_is_said_in_words():
    types = {"a": ProviderType.OPENAI, "b": ProviderType.ANTHROPIC, "c": ProviderType.CHATGPT}
    faults = [find_fault("a", ProviderType.OPENAI, [name], types) for name in ("a", "x", "b", "c")]
    assert faults == [
        "a cannot stand in for itself",
        "there is no provider named x; there are b, c",
        "b is of the type anthropic, which has no route of the type openai: give providers of the same dialect",
        "c takes only the users' own keys, and those go to no other provider",
    ]
    assert find_fault("a", ProviderType.OPENAI, [], types) == ""
    assert find_fault("a", ProviderType.OPENAI, ["x"], {"a": ProviderType.OPENAI}).endswith("there are none")
