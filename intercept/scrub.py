"""Takes credentials out of text that is to be shown: the one function that every log line passes through.

Recognised by their shape: the bridge's own tokens, keys with a vendor's prefix, JSON web tokens, PEM private keys, and
whatever stands where a credential stands: after `Bearer` and `Basic`, in `user:password@`, or as the value of a field
called like one.
"""

from __future__ import annotations

import re

SCRUBBED = "[scrubbed]"

_WHOLE = re.compile(
    r"""
    \b[A-Za-z0-9]{10}-[A-Za-z0-9]{22}\b                                                # a token of ours
    | \b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|ghs|ghu|glpat|AIza|AKIA|ASIA|xox[abprs])[-_]?[A-Za-z0-9_-]{16,}  # vendors' keys
    | \bgithub_pat_[A-Za-z0-9_]{20,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*                        # JSON web token, RFC 7519
    | -----BEGIN\ [A-Z\ ]{0,30}PRIVATE\ KEY-----[A-Za-z0-9+/=\s\\]*(?:-----END\ [A-Z\ ]{0,30}PRIVATE\ KEY-----)?
    """,
    re.VERBOSE,
)
_AFTER = re.compile(
    r"""
    (?P<before>
        \b(?:bearer|basic)\s+
        | ://[^/\s:@"']{0,256}:(?=[^/\s@"']{1,256}@)                                   # user:password@ in a URI
        | (?:api[-_]?key|authorization|passw(?:or)?d|secret|(?:access|refresh|session|auth)[-_]?token)
          \\?["']?\s{0,3}[:=]\s{0,3}\\?["']?(?:(?:bearer|basic)\s+)?
    )
    (?P<secret>[^\s"',;@&\\]{4,})
    """,
    re.VERBOSE | re.IGNORECASE,
)


def scrub(text: str) -> str:
    """Return the text with every credential in it replaced by `[scrubbed]`. Scrubbing twice changes nothing more."""
    return _AFTER.sub(rf"\g<before>{SCRUBBED}", _WHOLE.sub(SCRUBBED, text))
