"""Whether a kind keeps keys, which is asked every second, agrees with how many it keeps."""

import hypothesis.strategies as st
from hypothesis import given

from intercept.refusals import Rule
from limits.kinds.budget import Budgets
from limits.kinds.token_window import TokenWindow
from limits.limit import Kind, Limit, Of, Period

HOUR = 3_600 * 10**9
KEYS = st.sampled_from(["a", "b"])
steps = st.lists(st.tuples(st.sampled_from(["start", "charge", "end", "later"]), KEYS), max_size=30)


@given(steps, st.sampled_from([Kind.TOKENS, Kind.BUDGET]))
def test_it_keeps_something_while_there_are_keys(taken, kind):
    now = 0
    counter = TokenWindow(HOUR) if kind is Kind.TOKENS else Budgets(Period.DAY, "UTC", lambda: now)
    reserved = {"a": 0, "b": 0}
    for step, key in taken:
        limit = Limit(kind, Rule.POLICY_TOKENS, Of.USER, key, 100, HOUR, reserve=True)
        if step == "start":
            counter.start(limit, 5, now)
            reserved[key] += 1
        elif step == "end" and reserved[key]:
            counter.end(limit, 5)
            reserved[key] -= 1
        elif step == "charge":
            counter.charge(limit, 3, now)
        elif step == "later":
            now += 13 * HOUR
            counter.forget(now)
        assert bool(counter) is (len(counter) > 0)
