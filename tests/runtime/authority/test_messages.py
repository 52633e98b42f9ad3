"""The messages between a worker and its supervisor, written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.refusals import Rule
from limits.authority import LocalAuthority
from limits.limit import NOTHING, Amounts, Kind, Limit, Of
from limits.limiter import Limiter
from runtime.authority import ServerAuthority
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
from runtime.authority.outgoing import Outgoing
from tests.cases import for_each
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


@for_each("limits", [(), (SLOTS,), (SLOTS, RATE), (RATE, SHADOW), (SHADOW,)])
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


def test_however_much_waits_every_message_fits_into_a_frame():
    most = Amounts(10**6, 10**9)
    keys = [f"group:{number:036}" for number in range(100)]  # as many groups as a user may be in
    limits = tuple(
        [
            Limit(
                kind,
                Rule.POLICY_CONCURRENCY,
                of,
                key,
                10**12,
                31 * 86_400 * SECOND,
                zone="America/Argentina/Buenos_Aires",
            )
            for key in keys
            for of in (Of.GROUP, Of.USER)
            for kind in Kind
        ]
    )
    outgoing = Outgoing()
    numbers = range(1, 121)
    outgoing.starts = {number: Start(number, limits, most) for number in numbers}
    outgoing.adoptions = [Adoption(-number, limits, most, most) for number in numbers]
    desk = ServerAuthority(LocalAuthority()).open_desk(lambda: None)
    while (message := outgoing.take()) is not None:
        desk.received(decode_from_worker(sent(message)))
    for number in numbers:
        desk.send_report(number, bytes(200_000))
    replies = []
    while (reply := desk.take_outgoing()) is not None:
        replies.append(decode_to_worker(sent(reply)))
    assert [one.number for reply in replies for one in reply.decisions] == [*numbers]
    assert [one.number for reply in replies for one in reply.reports] == [*numbers]
