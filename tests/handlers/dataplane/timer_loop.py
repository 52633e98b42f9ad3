"""An event loop with timers only, for tests."""

from __future__ import annotations


class Loop:
    """The timers of an event loop, whose time passes when a test says so."""

    def __init__(self):
        self.now = 1000.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, seconds, call):
        return self.call_at(self.now + seconds, call)

    def call_at(self, when, call):
        self.timers.append((when, call))
        return self

    def cancel(self):
        self.timers.clear()

    def pass_(self, seconds):
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end:
            self.now, call = self.timers.pop(0)
            call()
        self.now = end
