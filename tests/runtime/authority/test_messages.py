"""The messages between a worker and its supervisor, written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.limit import NOTHING, Amounts, Kind, Limit, Of
from limits.limiter import Limiter
from runtime.authority.frames import FrameError, FrameReader
from runtime.authority.messages import (
    Adoption,
    Charge,
    DecisionReply,
    FromWorker,
    Report,
    Start,
    ToWorker,
    UsageRequest,
    Use,
    decode_from_worker,
    decode_to_worker,
    encode,
)
from tests.limits.clock import SECOND, Clock

SLOTS = Limit(Kind.CONCURRENCY, Rule.CONCURRENCY, Of.SERVER, "server", 2)
RATE = Limit(Kind.RATE, Rule.RATE, Of.TOKEN, "token:a", 1, window_ns=SECOND)
SHADOW = Limit(Kind.RATE, Rule.USER_RATE, Of.USER, "user:a", 0, window_ns=SECOND, shadow=True)


def sent(message):
    (payload,) = FrameReader().feed(encode(message))
    return payload


def test_what_a_worker_says_arrives_as_it_was():
    message = FromWorker(
        adoptions=[Adoption(1, (SLOTS,), Amounts(5, 6), NOTHING)],
        charges=[Charge(1, Amounts(7), None), Charge(2, Amounts(7), NOTHING)],
        ends=[3, 4],
        starts=[Start(5, (SLOTS, RATE), NOTHING)],
        usage_requests=[UsageRequest(6, 20)],
        reports=[Report(7, b"{}")],
    )
    assert decode_from_worker(sent(message)) == message


@pytest.mark.parametrize("limits", [(), (SLOTS,), (SLOTS, RATE), (RATE, SHADOW), (SHADOW,)])
def test_a_decision_arrives_as_it_was(limits):
    limiter = Limiter(Clock(), Clock())
    for number in (1, 2, 3):
        decision = limiter.start(limits)
        message = decode_to_worker(sent(ToWorker(decisions=[DecisionReply.of(number, limits, decision)])))
        read = message.decisions[0].decision(limits)
        assert (read.states, read.refused_by, read.retry_after_ns, read.shadow) == (
            decision.states,
            decision.refused_by,
            decision.retry_after_ns,
            decision.shadow,
        )
        assert read.ticket == (None if decision.ticket is None else number)


@given(st.binary(max_size=60))
def test_what_is_no_message_is_refused(payload):
    for decode in (decode_from_worker, decode_to_worker):
        try:
            decode(payload)
        except FrameError as error:
            assert str(error).startswith("not a message of ")  # noqa: PT017 - what is a message by chance is none


@pytest.mark.parametrize("index", [-1, 1])
def test_an_answer_about_another_limit_is_refused(index):
    use = Use(index, 0, 0, 0, 0, 0)
    for reply in (
        DecisionReply(1, -1, (use,), 0, ()),
        DecisionReply(1, -1, (), 0, (use,)),
        DecisionReply(1, 0, (), 0, ()),
    ):
        with pytest.raises(FrameError):
            reply.decision((RATE,))
