"""What a request's target means (RFC 9112 section 3.2)."""

from __future__ import annotations

import re

from tornado.httputil import HTTPHeaders

from http1.errors import InvalidRequestError

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


def origin_form(method: str, target: str, headers: HTTPHeaders) -> str:
    """Return the path and query of a target. If it is an absolute URL, `Host` is set to its host (section 3.2.2).

    `*` and the target of CONNECT are returned unchanged. A request without `Host`, or with several, is refused later.

    Raises:
        InvalidRequestError: The target is a URL that is not http or https, has no host, or has a user name.
    """
    if target[:1] == "/" or target == "*" or method == "CONNECT":
        return target
    parts = _ABSOLUTE.fullmatch(target)
    if parts is None:
        raise InvalidRequestError("its target is neither a path nor an address that begins with http:// or https://")
    authority, rest = parts.groups()
    if not authority or "@" in authority:
        raise InvalidRequestError("its target has no host, or a user's name before it")
    if len(headers.get_list("Host")) == 1:
        headers["Host"] = authority
    return rest if rest.startswith("/") else "/" + rest
