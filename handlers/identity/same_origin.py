"""Whether a browser sent a request for the page of another site, which a cookie must not let in."""

from __future__ import annotations

from collections.abc import Mapping

# `none` is what the user did: typed the address, or opened a bookmark.
_OWN = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def is_foreign(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a page of another origin sent the request. A request without these headers counts as a program's.

    Sources: Fetch Metadata (`Sec-Fetch-Site`), which browsers send over TLS and to loopback and no page can change; and
    RFC 6454 (`Origin`), which comes with every POST and DELETE. `SameSite` alone would let other ports of the host in.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    origin = headers.get("Origin")
    # Compared as text: browsers write it in one form, and anything unreadable is foreign.
    return origin is not None and origin.lower() != _origin(scheme, headers.get("Host", ""))


def _origin(scheme: str, host: str) -> str:
    """Write an origin as browsers do: in lower case, and without the port that goes without saying."""
    return f"{scheme}://{host.lower().removesuffix(_DEFAULT_PORTS[scheme])}"
