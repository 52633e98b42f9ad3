"""Which ledger an account uses in a round, chosen by the known versions of it. Pure."""

from __future__ import annotations

from enum import Enum, auto


class Basis(Enum):
    """The ledger that an account uses in a round."""

    READ = auto()  # the ledger as it was just read
    REMEMBERED = auto()  # the ledger of last time: a write counts only if nobody changed it since
    UNSEEN = auto()  # an empty ledger: the database adds the write to the real one, if there is room for it


class Versions:
    """The versions of a ledger that one server knows.

    Attributes:
        now: The version; empty if it is unknown, or not the last one.
        base: The version before that, if it must be right too: something was added, and it is unknown to what.
        must_read: Whether the ledger has to be read in the next round.
        shared: Whether another server had changed the ledger when it was last read.
    """

    def __init__(self) -> None:
        self.now = self.base = ""
        self.must_read = False
        self.shared = False
        self._last = ""  # the last known version, even if there is a later one by now

    def basis(self, *, may_add: bool) -> Basis:
        """The ledger to use. `may_add` says whether the account can do without one."""
        if self.now and not self.must_read and not self.shared:
            return Basis.REMEMBERED
        return Basis.UNSEEN if may_add and not self.must_read else Basis.READ

    @property
    def none_known(self) -> bool:
        """Whether a version was never known."""
        return not self._last

    def seen(self, version: str) -> None:
        """The ledger was read. The version is empty if there is no ledger."""
        self.shared = bool(self._last) and version != self._last
        self.now, self.base, self._last = version, "", version

    def written(self, version: str, base: str = "") -> None:
        """The ledger was written, or added to."""
        self.now, self.base, self._last = version, base, version

    def lost(self) -> None:
        """The write does not count, or it is unknown whether it does."""
        self.now = self.base = ""
        self.shared = True

    def forget(self) -> None:
        """The remembered ledger is not the written one."""
        self.now = self.base = ""
