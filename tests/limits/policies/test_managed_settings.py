"""How the managed settings of several policies are laid over one another."""

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.effective import Caller, PolicyBook
from limits.policies.managed_settings import lay_over
from limits.policies.policy import ModelPattern, Models, Policy, SharedPolicy
from tests.cases import for_each

CASES = {  # wide, narrow, merged
    "a value": ({"model": "a", "other": 1}, {"model": "b"}, {"model": "b", "other": 1}),
    "the environment": ({"env": {"A": "1", "B": "1"}}, {"env": {"B": "2"}}, {"env": {"A": "1", "B": "2"}}),
    "what is allowed": (
        {"permissions": {"allow": ["a"], "defaultMode": "plan"}},
        {"permissions": {"allow": ["b"]}},
        {"permissions": {"allow": ["b"], "defaultMode": "plan"}},
    ),
    "what is denied": (
        {"permissions": {"deny": ["a", "b"]}},
        {"permissions": {"deny": ["b", "c"]}},
        {"permissions": {"deny": ["a", "b", "c"]}},
    ),
    "hooks": (
        {"hooks": {"Stop": [{"a": 1}], "PreToolUse": [{"b": 1}]}},
        {"hooks": {"Stop": [{"c": 1}]}},
        {"hooks": {"Stop": [{"a": 1}, {"c": 1}], "PreToolUse": [{"b": 1}]}},
    ),
    "another kind": ({"permissions": {"deny": ["a"]}}, {"permissions": {"deny": "b"}}, {"permissions": {"deny": "b"}}),
}


@for_each(("wide", "narrow", "merged"), *list(CASES.values()))
def test_narrower_settings_lie_over_wider_ones(wide, narrow, merged):
    assert lay_over(wide, narrow) == merged


EXACTLY = {"availableModelsMatch": "exact", "enforceAvailableModels": True}


@for_each(
    ("everyone", "own", "settings", "expected"),
    (["a", "b"], None, {}, EXACTLY | {"availableModels": ["a", "b"]}),
    (["a", "b", "c"], ["b*", "c"], {}, EXACTLY | {"availableModels": ["b", "c"]}),
    ([ModelPattern("east", "a"), ModelPattern("west", "b")], None, {}, EXACTLY | {"availableModels": ["a"]}),
    (["a"], None, {"availableModels": ["x"]}, {"availableModels": ["x"]}),
    (
        ["a"],
        None,
        {"enforceAvailableModels": False},
        EXACTLY | {"availableModels": ["a"], "enforceAvailableModels": False},
    ),
    # not all that may be used can be named, or nothing may be used
    (["a", "b*"], None, {}, {}),
    (["a"], ["b"], {}, {}),
    (["a"], None, None, None),
)
def test_they_have_the_models_that_policies_allow_by_their_whole_names(everyone, own, settings, expected):
    book = PolicyBook()
    said = {} if settings is None else {"managed_settings": settings}
    book.put(PolicyHolder(Level.EVERYONE), SharedPolicy(models=Models(allow=everyone), **said))
    if own:
        book.put(PolicyHolder(Level.USER, "ada-id", "ada"), Policy(models=Models(allow=own)))
    assert book.find(Caller("ada-id", "t")).managed_settings_at("east") == expected


def test_groups_are_in_order_of_their_names_and_the_user_is_last():
    book = PolicyBook()
    caller = Caller("ada-id", "t", ("g1", "g2"))
    assert book.find(caller) is None
    book.put(PolicyHolder(Level.USER, "ada-id", "ada"), Policy(managed_settings={"c": "user"}))
    book.put(
        PolicyHolder(Level.GROUP, "g1", "research"), SharedPolicy(managed_settings=dict.fromkeys("bc", "research"))
    )
    book.put(PolicyHolder(Level.GROUP, "g2", "ops"), SharedPolicy(managed_settings=dict.fromkeys("abc", "ops")))
    assert book.find(caller).managed_settings == {"a": "ops", "b": "research", "c": "user"}
    book = PolicyBook()
    book.put(PolicyHolder(Level.EVERYONE), SharedPolicy(byok="deny"))
    assert book.find(caller).managed_settings is None
