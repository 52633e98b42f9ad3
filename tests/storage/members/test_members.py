from storage.members.membership import FORGET_NS, Heartbeat, Members, Share, Waits
from tests.limits.clock import SECOND, Clock

LEASE, MISSING, SILENT, DEAD = 5, 4, 30, 60


def members_at(clock):
    return Members("own", clock, Waits(LEASE, MISSING, SILENT, DEAD))


def heartbeat(beat, servers=3, rank=0, **more):
    return Heartbeat(beat, Share(servers, rank), **more)


def checks(members, clock, heard, seconds):
    for _ in range(seconds):
        clock.advance(SECOND)
        members.update(heard)


def test_a_server_may_be_alone_when_it_is_not_heard_of_and_is_dead_much_later():
    clock = Clock()
    members = members_at(clock)
    members.update({"a": heartbeat(1), "b": heartbeat(1)})
    assert (members.absent(), members.share) == ({}, Share(3, 2))
    checks(members, clock, {"a": heartbeat(1), "b": heartbeat(1)}, MISSING - 1)
    members.update({"a": heartbeat(2), "b": heartbeat(1)})
    clock.advance(SECOND)
    assert members.absent() == {"b": Share(3)}
    assert [members.is_heard(name) for name in ("a", "b", "c")] == [True, False, False]
    checks(members, clock, {"a": heartbeat(2), "b": heartbeat(1)}, DEAD - MISSING)
    assert (members.is_dead("b"), members.is_dead("a")) == (True, False)
    assert (members.absent(), members.share) == ({"a": Share(3)}, Share(2, 1))
    members.update({"a": heartbeat(2), "b": heartbeat(2)})
    assert not members.is_dead("b")


def test_the_first_heartbeat_that_is_seen_is_as_old_as_the_database_says():
    clock = Clock()
    members = members_at(clock)
    heard = {
        "a": heartbeat(1, age_ms=3_500),
        "b": heartbeat(1, rank=1, age_ms=None),
        "c": heartbeat(1, rank=2, age_ms=-900),
        "d": heartbeat(1, alone=True),
    }
    members.update(heard)
    assert members.absent() == {"b": Share(3, 1), "d": Share(3)}
    clock.advance(SECOND // 2)
    assert set(members.absent()) == {"a", "b", "d"}


def test_one_that_knows_of_no_other_is_dead_soon():
    clock = Clock()
    members = members_at(clock)
    members.update({"a": heartbeat(1, servers=1)})
    checks(members, clock, {"a": heartbeat(1, servers=1)}, MISSING)
    assert (members.absent(), members.dead()) == ({"a": Share()}, ())
    checks(members, clock, {"a": heartbeat(1, servers=1)}, LEASE - MISSING)
    assert (members.absent(), members.dead(), members.share) == ({}, ("a",), Share())


def test_shares_are_the_whole_limit_together():
    assert [Share(3, rank).of(100) for rank in range(3)] == [34, 33, 33]
    assert [Share(3, rank).of(1) for rank in range(3)] == [1, 0, 0]
    assert Share().of(0) == 0


def test_one_that_has_left_is_gone_at_once_and_may_come_again():
    clock = Clock()
    members = members_at(clock)
    members.update({"a": heartbeat(1)})
    members.update({})
    assert (members.is_dead("a"), members.absent(), members.share) == (True, {}, Share())
    clock.advance(60 * SECOND)
    members.update({})
    assert members.is_dead("a")
    members.update({"a": heartbeat(2)})
    assert (members.is_dead("a"), members.share) == (False, Share(2, 1))


def test_a_server_that_was_paused_itself_takes_nobody_for_dead():
    clock = Clock()
    members = members_at(clock)
    members.update({"b": heartbeat(1)})
    clock.advance(2 * DEAD * SECOND)
    members.update({"b": heartbeat(1)})
    assert not members.is_dead("b")
    checks(members, clock, {"b": heartbeat(1)}, DEAD)
    assert members.is_dead("b")


def test_a_server_that_was_never_seen_is_waited_for_and_forgotten():
    clock = Clock()
    members = members_at(clock)
    members.update({})
    assert not members.is_dead("gone")
    checks(members, clock, {}, LEASE)
    assert members.is_dead("gone")
    assert members.share == Share()
    checks(members, clock, {}, FORGET_NS // SECOND)
    assert not members.is_dead("gone")  # the wait begins once more
