import msgspec

from limits.authority import Authority, LocalAuthority
from limits.limit import Amounts, Decision
from limits.limiter import Limiter
from tests.limits.at_once import at_once
from tests.limits.clock import Clock
from tests.limits.test_limiter import slots, tokens


def test_a_process_alone_decides_without_waiting():
    authority: Authority = LocalAuthority(Limiter(Clock(), Clock()))
    limits = [slots(1), tokens(9)]
    decision = at_once(authority.start(limits))
    authority.charge(decision.ticket, Amounts(tokens=9))
    authority.end(decision.ticket)
    assert at_once(authority.start(limits)).refused_by.limit == tokens(9)
    assert [state.used for state in at_once(authority.usage(9))] == [9]
    assert not authority.unavailable


def test_a_decision_crosses_a_socket_as_it_is():
    limiter = Limiter(Clock(), Clock())
    limits = [slots(1), tokens(9, reserve=True, shadow=True)]
    for _ in range(2):
        decision = limiter.start(limits, Amounts(tokens=5))
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(decision), type=Decision) == decision
