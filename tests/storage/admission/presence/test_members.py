from storage.admission.presence.members import FORGET_NS, Heartbeat, Members
from storage.admission.presence.shares import Share
from tests.limits.clock import SECOND, Clock

LEASE, MISSING, DEAD = 5, 4, 60


def members_at(clock):
    return Members("own", clock, lease_ns=LEASE * SECOND, missing_ns=MISSING * SECOND, dead_ns=DEAD * SECOND)


def heartbeat(beat, servers=3, rank=0, **more):
    return Heartbeat(beat, Share(servers, rank), **more)


def checks(members, clock, heard, seconds):
    for _ in range(seconds):
        clock.advance(SECOND)
        members.update(heard, clock())


def test_a_server_may_be_alone_when_it_is_not_heard_of_and_is_dead_much_later():
    clock = Clock()
    members = members_at(clock)
    members.update({"a": heartbeat(1), "b": heartbeat(1)}, clock())
    assert (members.absent(), members.share) == ({}, Share(3, 2))
    checks(members, clock, {"a": heartbeat(1), "b": heartbeat(1)}, MISSING - 1)
    members.update({"a": heartbeat(2), "b": heartbeat(1)}, clock())
    clock.advance(SECOND)
    assert members.absent() == {"b": Share(3)}
    assert [members.is_heard(name) for name in ("a", "b", "c")] == [True, False, False]
    checks(members, clock, {"a": heartbeat(2), "b": heartbeat(1)}, DEAD - MISSING)
    assert (members.is_dead("b"), members.is_dead("a")) == (True, False)
    assert (members.absent(), members.share) == ({"a": Share(3)}, Share(2, 1))
    members.update({"a": heartbeat(2), "b": heartbeat(2)}, clock())
    assert not members.is_dead("b")


def test_a_heartbeat_counts_from_the_look_before_it_was_seen():
    clock = Clock()
    members = members_at(clock)
    members.update({"b": heartbeat(1)}, clock())
    clock.advance(MISSING * SECOND)  # this server was paused: the heartbeat may be that old
    members.update({"b": heartbeat(2)}, clock())
    assert members.absent() == {"b": Share(3)}
    checks(members, clock, {"b": heartbeat(3)}, 1)
    assert members.absent() == {}


def test_the_first_heartbeat_that_is_seen_is_as_old_as_the_database_says():
    clock = Clock()
    members = members_at(clock)
    heard = {
        "a": heartbeat(1, age_ms=3_500),
        "b": heartbeat(1, rank=1, age_ms=None),
        "c": heartbeat(1, rank=2, age_ms=-900),
        "d": heartbeat(1, alone=True),
    }
    members.update(heard, clock())
    assert members.absent() == {"b": Share(3, 1), "d": Share(3)}
    clock.advance(SECOND // 2)
    assert set(members.absent()) == {"a", "b", "d"}


def test_one_that_knows_of_no_other_takes_everything_and_is_dead_soon():
    clock = Clock()
    members = members_at(clock)
    members.update({"a": heartbeat(1, servers=1)}, clock())
    assert (members.absent(), members.has_unaware) == ({"a": Share()}, True)
    checks(members, clock, {"a": heartbeat(1, servers=1)}, LEASE)
    assert (members.absent(), members.has_unaware, members.share) == ({}, False, Share())


def test_one_that_has_left_is_gone_at_once_and_may_come_again():
    clock = Clock()
    members = members_at(clock)
    members.update({"a": heartbeat(1)}, clock())
    members.update({}, clock())
    assert (members.is_dead("a"), members.absent(), members.share) == (True, {}, Share())
    clock.advance(60 * SECOND)
    members.update({}, clock())
    assert members.is_dead("a")
    members.update({"a": heartbeat(2)}, clock())
    assert (members.is_dead("a"), members.share) == (False, Share(2, 1))


def test_a_server_that_was_paused_itself_takes_nobody_for_dead():
    clock = Clock()
    members = members_at(clock)
    members.update({"b": heartbeat(1)}, clock())
    clock.advance(2 * DEAD * SECOND)
    members.update({"b": heartbeat(1)}, clock())
    assert not members.is_dead("b")
    checks(members, clock, {"b": heartbeat(1)}, DEAD)
    assert members.is_dead("b")


def test_a_server_that_was_never_seen_is_waited_for_and_forgotten():
    clock = Clock()
    members = members_at(clock)
    members.update({}, clock())
    assert not members.is_dead("gone")
    checks(members, clock, {}, LEASE)
    assert members.is_dead("gone")
    assert members.share == Share()
    checks(members, clock, {}, FORGET_NS // SECOND)
    assert members._known == {}
