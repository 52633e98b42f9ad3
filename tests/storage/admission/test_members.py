from storage.admission.members import FORGET_NS, Members
from tests.limits.clock import SECOND, Clock


def looks(members, clock, beats, seconds):
    for _ in range(seconds):
        clock.advance(SECOND)
        members.look(beats)


def test_a_server_is_dead_when_its_heartbeat_stands_still_for_a_lease():
    clock = Clock()
    members = Members(clock, 5 * SECOND)
    members.look({"a": 1, "b": 1})
    looks(members, clock, {"a": 1, "b": 1}, 4)
    assert (members.is_dead("b"), members.alive) == (False, 2)
    clock.advance(SECOND)
    members.look({"a": 2, "b": 1})
    assert (members.is_dead("a"), members.is_dead("b"), members.alive) == (False, True, 1)
    members.look({"a": 2, "b": 2})
    assert not members.is_dead("b")


def test_a_server_that_was_paused_itself_takes_nobody_for_dead():
    clock = Clock()
    members = Members(clock, 5 * SECOND)
    members.look({"b": 1})
    clock.advance(60 * SECOND)
    members.look({"b": 1})
    assert not members.is_dead("b")
    looks(members, clock, {"b": 1}, 5)
    assert members.is_dead("b")


def test_a_server_that_was_never_seen_is_waited_for_and_forgotten():
    clock = Clock()
    members = Members(clock, 5 * SECOND)
    members.look({})
    assert not members.is_dead("gone")
    looks(members, clock, {}, 5)
    assert members.is_dead("gone")
    assert members.alive == 1
    looks(members, clock, {}, FORGET_NS // SECOND)
    assert members._beats == {}
