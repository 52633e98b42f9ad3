r"""Takes credentials out of text that is to be shown: the one function that every log line passes through.

Credentials are recognised by their shape: the bridge's own tokens, keys with a vendor's prefix, JSON web tokens, PEM
private keys, and whatever stands where a credential stands: after `Bearer` and `Basic`, in `user:password@`, or as the
value of a field that is named like one. They are found at the start of a line and in the middle of one, and also in
encoded text: behind `%3D`, `\n`, `\u003d` or a terminal's colour, whose last letter would otherwise begin a word.

The work is linear in the length of the text. Where a match can still fail, runs are bounded. A run without a bound is
taken only where its match is certain, so that no character is read again. Structured values are scrubbed string by
string before they are encoded (`scrub_value`): in encoded text, a replacement could break the encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

SCRUBBED: Final = "[scrubbed]"
MAX_ENCODINGS: Final = 3
"""How often a text may be percent-encoded for a credential in it still to be found."""

# No letter or digit in front, unless it ends an escape: of JSON, of a URL, or of a terminal's colour.
_START: Final = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<=[0-9;\[]m))"
)
_SHAPES: Final = re.compile(
    rf"""
    (?=[A-Za-z0-9]){_START}(?:
        (?:sk|pk|rk|gsk|csk|xai|hf|npm|pplx|nvapi|glpat|shpat|xox[abeoprs]|xapp|gh[oprsu]|github_pat|AGE-SECRET-KEY)
            [-_][A-Za-z0-9_-]{{16,}}+                                                          # vendors' keys
        | (?:AIza|AKIA|ASIA)[A-Za-z0-9_-]{{16,}}+
        | (?:ya29|SG)\.[A-Za-z0-9_.-]{{16,}}+ | AQ\.[A-Za-z0-9_-]{{24,}}+                       # Google, SendGrid
        | (?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=_-]{{16,}}+                                     # Amazon Bedrock
        | [A-Za-z0-9]{{10}}-[A-Za-z0-9]{{22}}(?![A-Za-z0-9])                                   # a token of ours
    )
    """,
    re.VERBOSE,
)
# RFC 7468 and RFC 1421, also in a form or in JSON. A key whose end is missing is taken as far as it goes.
_PRIVATE_KEY: Final = re.compile(
    r"""
    -----BEGIN(?:[A-Z0-9\ +]|%20){1,32}?PRIVATE(?:[\ +]|%20)KEY(?:[A-Z\ +]|%20){0,8}-----
    (?:(?:\s|\\[rn]|%0[AD]){1,8}(?:Proc-Type|DEK-Info):\ ?[A-Za-z0-9,-]{1,128}){0,2}
    [A-Za-z0-9+/=%\s\\]*+
    (?:-----END(?:[A-Z0-9\ +]|%20){1,32}?PRIVATE(?:[\ +]|%20)KEY(?:[A-Z\ +]|%20){0,8}-----)?
    """,
    re.VERBOSE,
)
# RFC 7519: three parts, five if it is encrypted. What only begins like one matches too, so that it is read once.
_JSON_WEB_TOKEN: Final = re.compile(rf"eyJ(?<={_START}eyJ)[A-Za-z0-9_-]*+(?P<parts>(?:\.[A-Za-z0-9_-]*+){{2,4}})?")
# RFC 3986, section 3.2.1, also percent-encoded. A password that is not encoded may contain an `@`.
_IN_URI: Final = re.compile(
    r"""(?P<before>(?::|%3[aA])(?://|%2[fF]%2[fF])(?:(?!%3[aA])[^/\s:@"']){0,256}+(?::|%3[aA]))[^/\s"']{1,256}(?=@|%40)"""
)
_SPACE: Final = r"(?:\s|\+|%20)"
# `Bearer` and `Basic` of RFC 9110, without their first letter.
_SCHEME_END: Final = rf"(?:[eE][aA][rR][eE][rR]|[aA][sS][iI][cC]){_SPACE}{{1,4}}"
# A value without quotes ends where a list, a query or a sentence goes on.
_BARE: Final = r"""(?:[^\s"',;&\\]|,(?![\s"'])){4,}+"""
_AFTER_SCHEME: Final = re.compile(rf"(?P<before>[bB](?<={_START}[bB]){_SCHEME_END}){_BARE}")
_KINDS: Final = ("api", "secret", "private", "access", "account", "signing", "encryption", "master")
_TOKENS: Final = ("access", "api", "auth", "bearer", "id", "refresh", "security", "session")
_NAMES: Final = (
    *(kind + key for kind in _KINDS for key in ("key", "_key", "_key_base")),
    *(kind + "token" for kind in _TOKENS),
    *("accesskeyid", "access_key_id", "secret", "password", "passwd", "passphrase"),
    *("authorization", "credential", "credentials"),
)
_SHORT_NAMES: Final = ("pass", "passcode", "psk", "pwd", "sig", "token")


def _behind(names: Iterable[str]) -> str:
    """Write a pattern that looks back at one of these names, at its last letters first: most texts have none of them."""
    by_end: dict[str, list[str]] = {}
    for name in names:
        by_end.setdefault(name[-2:], []).append(name.replace("_", "[_-]"))
    return "|".join(f"(?<={end})(?:{'|'.join(f'(?<={name})' for name in some)})" for end, some in by_end.items())


_NAME: Final = (
    rf"(?i:[a-z](?:{_behind(_NAMES)}|{'|'.join(f'(?<=(?<![a-z]){name})' for name in _SHORT_NAMES)}))"
    r"|[YS](?:(?<=_KEY)|(?<=_KEYS))"
)
_END_OF_NAME: Final = re.compile(rf"(?:{_NAME})\Z")
_TO_VALUE: Final = r"""(?:%22)?+[\ \t"'\\\]]{0,16}+(?:[:=]|%3[AaDd])"""
# A name is looked back at from its last letter, and only where a separator follows that.
_FIELD: Final = re.compile(
    rf"""
    (?P<before>
        (?=[A-Za-z]{_TO_VALUE})(?:{_NAME}){_TO_VALUE}
        >?{_SPACE}{{0,4}}(?P<quote>\\{{0,8}}["']|%22)?(?:[bB]{_SCHEME_END})?
    )
    (?:(?(quote)(?:(?!(?P=quote))(?:\\.|[^\n\r]))++|(?!)) | (?!(?:null|true|false|[Nn]one|True|False)\b){_BARE})
    """,
    re.VERBOSE,
)


def scrub(text: str) -> str:
    """Return the text with every credential in it replaced by `[scrubbed]`. Scrubbing twice changes nothing more."""
    text = _SHAPES.sub(SCRUBBED, _PRIVATE_KEY.sub(SCRUBBED, text))
    if "eyJ" in text:
        text = _JSON_WEB_TOKEN.sub(lambda match: SCRUBBED if match["parts"] else match[0], text)
    text = _IN_URI.sub(rf"\g<before>{SCRUBBED}", text)
    text = _FIELD.sub(rf"\g<before>{SCRUBBED}", text)
    return _AFTER_SCHEME.sub(rf"\g<before>{SCRUBBED}", text)


def scrub_quoted(text: str) -> str:
    """Return a sentence or a path without what has the form of a token, a vendor's key or a JSON web token.

    For texts of our own that quote what somebody sent: they speak of `Bearer` and `token` without a secret behind it. One
    that holds a credential percent-encoded is decoded and scrubbed; any other stays as it is.
    """
    plain = text
    for _ in range(MAX_ENCODINGS):
        plain = unquote(plain)
    scrubbed = _SHAPES.sub(SCRUBBED, plain)
    scrubbed = _JSON_WEB_TOKEN.sub(lambda match: SCRUBBED if match["parts"] else match[0], scrubbed)
    return text if scrubbed == plain else scrubbed


def scrub_value(value: Any) -> Any:
    """Return a value of JSON (as `msgspec.to_builtins` gives it) with every string in it scrubbed, names included.

    What an object has under the name of a credential is replaced whole.
    """
    match value:
        case str():
            return scrub(value)
        case dict():
            return {
                scrub(name): SCRUBBED if isinstance(content, str) and is_credential_name(name) else scrub_value(content)
                for name, content in value.items()
            }
        case list() | tuple():
            return [scrub_value(one) for one in value]
        case _:
            return value


def is_credential_name(name: str) -> bool:
    """Whether a field of that name holds a credential: `api_key`, `clientSecret`, `DB_PASS`, `OPENAI_KEY`."""
    return _END_OF_NAME.search(name) is not None
