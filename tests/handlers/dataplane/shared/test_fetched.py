"""A process records nothing twice that it fetched a moment ago, and remembers a bounded number of it."""

from __future__ import annotations

from handlers.dataplane.shared import fetched
from handlers.dataplane.shared.fetched import FetchedCalls, fetched_id


def test_a_call_is_claimed_once_until_it_is_given_back_or_others_took_its_place(monkeypatch):
    monkeypatch.setattr(fetched, "MAX_REMEMBERED", 2)
    calls, (a, b, c) = FetchedCalls(), map(fetched_id, "abc")
    assert [calls.claim(one) for one in (a, b, a, b)] == [True, True, False, False]
    calls.give_back(b)
    assert [calls.claim(one) for one in (b, c, b, a)] == [True, True, False, True]
    assert len(calls._ids) == 2
