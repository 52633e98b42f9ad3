from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from intercept.recording import Keep, Recording
from intercept.refusals import Rule
from limits.limit import Limit, LimitKind, Of
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.effective import Caller, PolicyBook
from limits.policies.policy import (
    Budget,
    Concurrency,
    Models,
    Policy,
    PolicyLimits,
    Rate,
    RecordingRules,
    SharedLimits,
    SharedPolicy,
    TokenLimit,
    window_ns,
)

SECOND = 1_000_000_000
EVERYONE = PolicyHolder(Level.EVERYONE)
RESEARCH = PolicyHolder(Level.GROUP, "g1", "research")
OPS = PolicyHolder(Level.GROUP, "g2", "ops")
ADA = PolicyHolder(Level.USER, "ada-id", "ada")
TOKEN = PolicyHolder(Level.TOKEN, "t", "t")
CALLER = Caller("ada-id", "t", ("g1", "g2"))


def book(*policies):
    made = PolicyBook()
    for source, policy in policies:
        made.put(source, policy)
    return made


def find(*policies, caller=CALLER):
    return book(*policies).find(caller, "ada")


def each(**limits):
    return SharedPolicy(limits=SharedLimits(each_member=PolicyLimits(**limits)))


def test_of_what_is_recorded_the_strictest_holds():
    assert find((EVERYONE, SharedPolicy(byok="deny"))).recording is None
    assert find((EVERYONE, SharedPolicy(recording=RecordingRules(prompts=Keep.FULL)))).recording is None
    effective = find(
        (EVERYONE, SharedPolicy(recording=RecordingRules(prompts=Keep.REDACTED, patterns=["a{2}"], retention=90))),
        (RESEARCH, SharedPolicy(recording=RecordingRules(thoughts=Keep.HASHED, prompts=Keep.FULL, retention=7))),
        (TOKEN, Policy(recording=RecordingRules(thoughts=Keep.NONE, patterns=["b", "a{2}"], retention=30))),
    )
    assert effective.recording == Recording(
        prompts=Keep.REDACTED, thoughts=Keep.NONE, patterns=("a{2}", "b"), retention=7
    )
    assert not Recording(retention=7).restricts


def test_equal_limits_of_several_policies_hold_once_and_are_told_of_the_widest():
    effective = find((OPS, each(rate=Rate(5, "20s"))), (RESEARCH, each(rate=Rate(5, "20s"))))
    limit = Limit(LimitKind.RATE, Rule.POLICY_RATE, Of.USER, "member:ada-id", 5, 20 * SECOND)
    assert effective.before_body(pays=False) == (limit,)
    assert [(one.source, one.limit) for one in effective.applied()] == [(RESEARCH, limit), (OPS, limit)]
    assert effective.source_of(limit) == RESEARCH


def test_a_user_is_named_as_the_user_is_now():
    assert book((ADA, Policy(max_tokens=5))).find(CALLER, "countess").max_tokens == (5, ADA._replace(name="countess"))


PATTERNS = st.lists(st.sampled_from(["a*", "b*", "ab", "*", "c"]), min_size=1, max_size=3)
MODELS = (
    st.builds(Models, allow=PATTERNS, deny=st.just(UNSET))
    | st.builds(Models, deny=PATTERNS)
    | st.builds(Models, allow=st.just(["a*", "b"]), deny=st.just(["ab"]))
)
BUDGET = st.builds(
    Budget,
    st.sampled_from(["0", "1", "3.5", 30]),
    st.sampled_from(["day", "week", "month"]),
    reserve=st.booleans(),
    shadow=st.booleans(),
)
LIMITS = st.builds(
    PolicyLimits,
    concurrency=st.just(UNSET) | st.builds(Concurrency, st.integers(0, 3), shadow=st.booleans()),
    rate=st.just(UNSET) | st.builds(Rate, st.integers(0, 3), st.sampled_from(["1s", "1m"]), shadow=st.booleans()),
    tokens=st.just(UNSET) | st.builds(TokenLimit, st.integers(0, 3), st.just("1h"), shadow=st.booleans()),
    budget=st.just(UNSET) | BUDGET,
)
OWN = st.builds(
    Policy,
    models=st.just(UNSET) | MODELS,
    limits=st.just(UNSET) | LIMITS,
    max_tokens=st.just(UNSET) | st.integers(1, 4),
    byok=st.sampled_from([UNSET, "allow", "deny"]),
)
SHARED = st.builds(
    SharedPolicy,
    models=st.just(UNSET) | MODELS,
    limits=st.just(UNSET)
    | st.builds(SharedLimits, each_member=st.just(UNSET) | LIMITS, together=st.just(UNSET) | LIMITS),
    max_tokens=st.just(UNSET) | st.integers(1, 4),
    byok=st.sampled_from([UNSET, "allow", "deny"]),
)
DAYS = {"day": 1, "week": 7, "month": 30}


def per_day(budget):
    return Fraction(Decimal(str(budget.usd))) / DAYS[budget.period]


def naive_allows(models, model):
    def means(patterns):
        return any(one == model or (one.endswith("*") and model.startswith(one[:-1])) for one in patterns)

    return (not models.allow or means(models.allow)) and not (models.deny and means(models.deny))


def naive_limits(limits, key, *, budget):
    """Which limits a part gives, as (kind, key, maximum, whatever else makes it another one)."""
    if limits.concurrency is not UNSET:
        yield LimitKind.CONCURRENCY, key, limits.concurrency.requests, (0, limits.concurrency.shadow)
    if limits.rate is not UNSET:
        yield LimitKind.RATE, key, limits.rate.requests, (window_ns(limits.rate.window), limits.rate.shadow)
    if limits.tokens is not UNSET:
        yield LimitKind.TOKENS, key, limits.tokens.count, (3600 * SECOND, limits.tokens.shadow)
    if budget and limits.budget is not UNSET:
        yield naive_budget(limits.budget, key)


def naive_budget(budget, key):
    return LimitKind.BUDGET, key, budget.micro_dollars, (budget.period, budget.reserve, budget.shadow)


def naive(limit):
    """A limit in the same form."""
    if limit.kind is LimitKind.BUDGET:
        return limit.kind, limit.key, limit.maximum, (limit.period, limit.reserve, limit.shadow)
    return limit.kind, limit.key, limit.maximum, (limit.window_ns, limit.shadow)


def naive_parts(source, policy):
    """The limits of each member, and those of all together, with the key of these."""
    if policy.limits is UNSET:
        return PolicyLimits(), PolicyLimits(), ""
    if source is ADA:
        return policy.limits, PolicyLimits(), ""
    if source is TOKEN:
        return PolicyLimits(), policy.limits, "key:t"
    shared = policy.limits
    return shared.each_member or PolicyLimits(), shared.together or PolicyLimits(), f"group:{source.key or 'everyone'}"


def naive_budgets(members):
    """Of the budgets of each member, by level, the one that holds."""
    for shadow in (False, True):
        for level in (Level.USER, Level.GROUP, Level.EVERYONE):
            if found := [budget for at, budget in members if at is level and budget.shadow is shadow]:
                yield naive_budget(max(found, key=per_day), "member:ada-id")
                break


@given(
    st.fixed_dictionaries({}, optional={EVERYONE: SHARED, RESEARCH: SHARED, OPS: SHARED, ADA: OWN, TOKEN: OWN}),
    st.sets(st.sampled_from(["g1", "g2"])),
)
def test_the_limits_that_hold_are_those_of_each_policy(policies, groups):
    effective = book(*policies.items()).find(Caller("ada-id", "t", tuple(groups)))
    expected, members = [], []
    for source, policy in sorted(policies.items(), key=lambda one: one[0].key):  # of equal budgets the first one holds
        if source.level is Level.GROUP and source.key not in groups:
            continue
        each_member, together, key = naive_parts(source, policy)
        expected += naive_limits(each_member, "member:ada-id", budget=False)
        expected += naive_limits(together, key, budget=True)
        if each_member.budget is not UNSET:
            members.append((source.level, each_member.budget))
    expected += naive_budgets(members)
    held = effective.before_body(pays=False) + effective.after_body(pays=False) if effective else ()
    assert sorted(map(naive, held)) == sorted(set(expected))  # equal ones of several policies hold once
    if effective is not None:
        assert all(one.reserve for one in effective.after_body(pays=False))
        assert not any(one.reserve for one in effective.before_body(pays=False))
        assert not any(one.kind is LimitKind.BUDGET for one in effective.before_body(pays=True))


@given(
    st.fixed_dictionaries({}, optional={EVERYONE: SHARED, RESEARCH: SHARED, OPS: SHARED, ADA: OWN, TOKEN: OWN}),
    st.sampled_from(["", "a", "ab", "b", "c", "d"]),
)
def test_a_call_satisfies_every_policy(policies, model):
    effective = book(*policies.items()).find(CALLER)
    if effective is None:
        assert not policies
        return
    allowed = all(naive_allows(policy.models, model) for policy in policies.values() if policy.models is not UNSET)
    assert (effective.refuse_model("p", model) is None) is allowed
    requested = [policy.max_tokens for policy in policies.values() if policy.max_tokens is not UNSET]
    assert (effective.max_tokens and effective.max_tokens[0]) == min(requested, default=None)
    assert (effective.denies_own_key is not None) is any(policy.byok == "deny" for policy in policies.values())
