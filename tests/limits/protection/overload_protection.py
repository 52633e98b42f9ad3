"""Overload protection with a clock of the test."""

import time

from limits.authority import LocalAuthority
from limits.limiter import Limiter
from limits.protection.overload import OverloadProtection
from limits.request_limits import LimitSettings


def protection(*, now_ns=time.monotonic_ns, wall_ns=time.time_ns, on_refusal=lambda _: None, authority=None, **limits):
    """Protection with these limits; the authority is this process unless it is given."""
    authority = authority or LocalAuthority(Limiter(now_ns, wall_ns))
    return OverloadProtection(LimitSettings(**limits), authority=authority, on_refusal=on_refusal, now_ns=now_ns)
