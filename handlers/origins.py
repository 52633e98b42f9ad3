"""Whether a browser sent a request for the page of another site, which a cookie must not let in."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

# `none` is what the user did: typed the address, or opened a bookmark.
_OWN = frozenset({"same-origin", "none"})


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether another origin's page is behind the request; one that says nothing is taken for a program's.

    Sources: Fetch Metadata (`Sec-Fetch-Site`), which browsers send over TLS and to loopback and no page can change; and
    RFC 6454 (`Origin`), which comes with every POST and DELETE. `SameSite` alone would let other ports of the host in.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    origin = headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("Host")
