"""Whether a server decides by the ledgers or alone, and with what share."""

import hypothesis.strategies as st
from hypothesis import given

from storage.admission.presence.shares import Alone, Share, left_to
from storage.admission.presence.standing import Standing, State
from tests.limits.clock import SECOND, Clock


def standing_at(clock):
    return Standing(clock, lease_ns=5 * SECOND, hidden_ns=6 * SECOND)


@given(st.integers(0, 1_000), st.integers(1, 40))
def test_all_shares_together_are_the_limit(maximum, servers):
    shares = {str(rank): Share(servers, rank) for rank in range(servers)}
    assert left_to(shares, maximum) == maximum
    sizes = [share.of(maximum) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


def test_the_only_server_may_be_alone_at_once_and_takes_everything():
    standing = standing_at(Clock())
    standing.read(Share())
    standing.written()
    assert (standing.may_be_alone, standing.alone) == (True, Alone((Share(),), 0))
    assert standing.alone.share_of(100) == 100


def test_one_of_several_may_be_alone_when_the_others_do_not_hear_of_it_any_more():
    clock = Clock()
    standing = standing_at(clock)
    standing.read(Share(3, 1))
    standing.written()
    clock.advance(6 * SECOND - 1)
    assert not standing.may_be_alone
    clock.advance(1)
    assert standing.may_be_alone
    clock.advance(SECOND)
    assert (standing.lose(), standing.lose()) == (True, False)
    assert standing.alone == Alone((Share(3, 1),), clock())


def test_a_heartbeat_that_may_be_written_counts_as_written_and_as_not():
    standing = standing_at(Clock())
    standing.read(Share())
    standing.written()
    standing.read(Share(3, 2))
    assert not standing.may_be_alone
    assert (standing.alone.servers, standing.alone.share_of(100)) == (3, 33)
    standing.read(Share(2, 0))
    standing.written()
    assert (standing.alone.servers, standing.alone.share_of(100)) == (2, 50)


def test_a_server_returns_after_a_lease_of_heartbeats_and_its_share_grows_no_sooner():
    clock = Clock()
    standing = standing_at(clock)
    standing.read(Share(3))
    standing.written()
    clock.advance(6 * SECOND)
    standing.lose()
    standing.read(Share(2))
    standing.written()
    assert (standing.state, standing.share_again(), standing.alone.servers) == (State.RETURNING, False, 3)
    clock.advance(5 * SECOND)
    assert (standing.share_again(), standing.state, standing.may_be_alone) == (True, State.SHARED, False)
    standing.read(Share(2))
    standing.written()
    assert standing.alone.servers == 2
