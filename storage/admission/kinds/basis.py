"""By which ledger an account goes in a round, by the versions of it that are known. Pure."""

from __future__ import annotations

from enum import Enum, auto


class Basis(Enum):
    """The ledger that an account goes by in a round."""

    READ = auto()  # as it was just read
    REMEMBERED = auto()  # as it was last time: what is written counts only if nobody changed it since
    UNSEEN = auto()  # an empty one: what is written is added in the database, if there is room for it


class Versions:
    """What one server knows of the version of a ledger.

    Attributes:
        now: The version; empty if it is not known, or is not the last one.
        base: The version before that, if that must be right too: something was added to it, and it is not known to what.
        must_read: Whether the ledger has to be read in the next round.
        shared: Whether another server had changed it, the last time it was looked at.
    """

    def __init__(self) -> None:
        self.now = self.base = ""
        self.must_read = False
        self.shared = False
        self._last = ""  # that was known, also if there is a later one by now

    def basis(self, *, may_add: bool) -> Basis:
        """By which ledger to go; `may_add` says whether the account can do without one."""
        if self.now and not self.must_read and not self.shared:
            return Basis.REMEMBERED
        return Basis.UNSEEN if may_add and not self.must_read else Basis.READ

    @property
    def none_known(self) -> bool:
        """Whether no version was ever known."""
        return not self._last

    def seen(self, version: str) -> None:
        """The ledger was read; the version is empty if there is none."""
        self.shared = bool(self._last) and version != self._last
        self.now, self.base, self._last = version, "", version

    def written(self, version: str, base: str = "") -> None:
        """The ledger was written, or added to."""
        self.now, self.base, self._last = version, base, version

    def lost(self) -> None:
        """What was written does not count, or nobody knows."""
        self.now = self.base = ""
        self.shared = True

    def forget(self) -> None:
        """What is remembered is not what is written."""
        self.now = self.base = ""
