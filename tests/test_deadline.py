import asyncio

from deadline import Deadline


class Loop:
    """What a deadline needs of an event loop, with a clock that a test moves."""

    def __init__(self):
        self.now = 0.0
        self.timers = []
        self.made = 0

    def time(self):
        return self.now

    def call_at(self, when, callback):
        self.made += 1
        self.timers.append(asyncio.TimerHandle(when, callback, (), self))
        return self.timers[-1]

    def _timer_handle_cancelled(self, handle):
        self.timers.remove(handle)

    def get_debug(self):
        return False

    def pass_to(self, now):
        self.now = now
        for timer in [timer for timer in self.timers if timer.when() <= now]:
            self.timers.remove(timer)
            timer._run()


def reached_at(*moves):
    """When a deadline is reached that was moved from time to time: (at, to)."""
    loop, times = Loop(), []
    deadline = Deadline(loop, lambda: times.append(loop.now))
    for at, to in moves:
        loop.pass_to(at)
        deadline.lift() if to is None else deadline.move(to)
    for now in range(int(loop.now), 100):
        loop.pass_to(now)
    assert loop.timers == []
    return times, loop.made


def test_a_deadline_is_reached_once_and_where_it_was_moved_to():
    assert reached_at((0, 10)) == ([10], 1)
    assert reached_at((0, 10), (5, 7)) == ([7], 2)
    assert reached_at((0, 10), (5, None)) == ([], 1)
    assert reached_at((0, 10), (5, None), (6, 20)) == ([20], 2)
    assert reached_at((0, 10), (20, 30)) == ([20, 30], 2)


def test_moving_a_deadline_on_costs_no_timer():
    assert reached_at(*((now, now + 10) for now in range(9))) == ([18], 2)


def test_a_closed_deadline_is_never_reached():
    loop, times = Loop(), []
    deadline = Deadline(loop, lambda: times.append(loop.now))
    deadline.move(10)
    deadline.close()
    deadline.move(20)
    loop.pass_to(30)
    assert (times, loop.timers) == ([], [])


def test_each_wait_is_bounded_from_its_beginning_or_renewal_and_many_take_one_timer():
    loop, times = Loop(), []
    deadline = Deadline(loop, lambda: times.append(loop.now), 10)
    for start in range(0, 90, 9):
        loop.pass_to(start)
        with deadline:
            loop.pass_to(start + 8)
        deadline.renew()
        assert len(loop.timers) == 1
    loop.pass_to(100)
    assert (times, loop.timers) == ([], [])
    with deadline:
        loop.pass_to(109)
        deadline.renew()
        loop.pass_to(110)
        assert times == []
        loop.pass_to(119)
        loop.pass_to(200)
    assert times == [119]


def test_a_callback_may_renew_the_wait_at_a_clock_whose_times_are_not_exact():
    loop, times = Loop(), []
    deadline = Deadline(loop, lambda: (times.append(loop.now), deadline.renew()), 0.1)
    loop.now = 1000.0
    with deadline:
        for _ in range(3):
            loop.pass_to(loop.timers[0].when())
    assert len(times) == 3
