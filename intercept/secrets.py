r"""Credentials in text, taken out: what looks like one, what the bridge knows as one, what an operator calls one. Pure.

**By shape** (`scrub`, through which every log line passes): the bridge's own tokens, keys with a vendor's prefix, JSON web
tokens, PEM private keys, and whatever stands where a credential stands: after `Bearer` and `Basic`, in `user:password@`, or
as the value of a field that is named like one. They are found at the start of a line and in the middle of one, and also in
encoded text: behind `%3D`, `\n`, `\u003d` or a terminal's colour, whose last letter would otherwise begin a word. Structured
values are scrubbed string by string before they are encoded (`scrub_value`): in encoded text, a replacement could break the
encoding.

**By value**: a provider may repeat its key in an error or a tool call, and a key without a vendor's prefix has no shape. So
it is looked for in assembled texts: it does not matter how the response was cut into events. A text that was cut off in the
middle of a secret loses that beginning too.

**Redaction** also takes cards, mail addresses and what an operator's own patterns find. What is found has its form, not its
meaning, so some of it is left and some is taken that is none. More than `MAX_TEXT` of a text is not looked at.

**Own patterns** are a small language. A pattern is a sequence of letters and signs as they are, `.` for any character, `\d`,
`\w` and `\s`, sets such as `[A-Z0-9_]` and `\b` for the edge of a word. A repeat needs a bound: `{8}`, `{8,40}` or `?`. A
sign with a meaning stands for itself behind a backslash. There are no groups and no alternatives: those are several patterns.
A repeat takes as much as it can and gives nothing back, so nothing is tried twice at one place, and one match has at most
`MAX_LENGTH` characters.

All work is linear in the length of the text. Where a match can still fail, runs are bounded. A run without a bound is taken
only where its match is certain, so that no character is read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from msgspec import Struct, structs
from msgspec.msgpack import encode

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


MIN_SECRET: Final = 8
"""Characters of the shortest secret that is looked for, and of the shortest beginning of one at the end of a text. Model
servers without authentication are often given `none` or `EMPTY` as a key, which is no secret."""

# The secret half of a token, by its shape: tokens of others are known as digests only. Their id is public and stays.
_TOKEN: Final = re.compile(r"-(?<=[A-Za-z0-9]{10}-)[A-Za-z0-9]{22}(?![A-Za-z0-9])")
# In a value's MessagePack, where what follows a text may look like a letter.
_TOKEN_BYTES: Final = re.compile(rb"-(?<=[A-Za-z0-9]{10}-)[A-Za-z0-9]{22}")

T = TypeVar("T")


class KnownSecrets:
    """Secrets to look for: each as it is, in a URL, and in JSON.

    Args:
        secrets: Of any length; those shorter than `MIN_SECRET` characters are not looked for.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spellings: frozenset[str] = frozenset()
        # Nothing is to be done where not even a beginning occurs, and keys of one vendor often begin alike.
        self._beginnings: frozenset[bytes] = frozenset()
        self.learn(secrets)

    def __repr__(self) -> str:
        return f"KnownSecrets({len(self._spellings)})"

    def learn(self, secrets: Iterable[str]) -> None:
        """Look for these as well from now on. What was known stays: a key that is no more in use is still a secret."""
        learned = {spelling for secret in secrets if len(secret) >= MIN_SECRET for spelling in _spellings(secret)}
        self._spellings |= learned
        self._beginnings |= {spelling[:MIN_SECRET].encode() for spelling in learned}

    def together_with(self, secrets: Iterable[str]) -> KnownSecrets:
        """Return these and further ones, such as what one request carries."""
        together = copy(self)
        together.learn(secrets)
        return together

    def hide(self, value: T) -> T:
        """Return a text, or a record or value of JSON with every text in it, without any of the secrets.

        What has none is returned itself.
        """
        if not self._may_be_in(value):
            return value
        hidden: T = self._hidden(value)
        return value if hidden == value else hidden

    def _may_be_in(self, value: object) -> bool:
        """Look for beginnings in the value's MessagePack: it is made in microseconds, and has every text as it is."""
        try:
            encoded = encode(value)
        except (UnicodeEncodeError, OverflowError):  # half of a surrogate pair, an integer of more than 64 bits
            return True
        return _TOKEN_BYTES.search(encoded) is not None or any(beginning in encoded for beginning in self._beginnings)

    def _hidden(self, value: Any) -> Any:
        match value:
            case str():
                return self._hidden_text(value)
            case Struct():
                names = value.__struct_fields__
                return structs.replace(value, **{name: self._hidden(getattr(value, name)) for name in names})
            case dict():
                return {self._hidden(name): self._hidden(content) for name, content in value.items()}
            case list() | tuple():
                return type(value)([self._hidden(one) for one in value])
            case _:
                return value

    def _hidden_text(self, text: str) -> str:
        hidden = _TOKEN.sub(f"-{SCRUBBED}", text)
        for spelling in sorted(self._spellings, key=len, reverse=True):
            hidden = hidden.replace(spelling, SCRUBBED)
        for spelling in self._spellings:
            hidden = _without_beginning(hidden, spelling)
        return text if hidden == text else hidden  # an enumeration's value stays one


def _spellings(secret: str) -> Iterable[str]:
    if secret.isalnum() and secret.isascii():
        return (secret,)
    encoded = quote(secret, safe="")
    escaped = json.dumps(secret, ensure_ascii=False)[1:-1]
    return secret, encoded, re.sub("%..", lambda code: code[0].lower(), encoded), escaped, escaped.replace("/", r"\/")


def _without_beginning(text: str, secret: str) -> str:
    """Take away the beginning of a secret from the end of a text."""
    beginning = secret[:MIN_SECRET]
    start = text.find(beginning, max(0, len(text) - len(secret) + 1))
    while start >= 0:
        if secret.startswith(text[start:]):
            return text[:start] + SCRUBBED
        start = text.find(beginning, start + 1)
    return text


MAX_PATTERN: Final = 200
"""Longest pattern, in characters."""

MAX_LENGTH: Final = 128
"""Longest match, in characters."""

STEP: Final = 2_048
"""Places of a text that are tried in one go, a millisecond or two; then other threads may run."""

_CHARACTER: Final = r"\\[dws.\[\](){}*+?|^$/\\-]"
_ELEMENT: Final = re.compile(
    rf"(?P<edge>\\b)|(?P<one>{_CHARACTER}|\[\^?(?:[^\[\]\\]|{_CHARACTER})+\]|[^\\\[\](){{}}*+?|^$])"
    r"(?:\{(?P<low>[0-9]{1,3})(?:,(?P<high>[0-9]{1,3}))?\}|(?P<maybe>\?))?",
    re.DOTALL,
)
_ALLOWED: Final = (
    r"allowed are characters, sets such as [A-Z0-9], ., \d, \w, \s and \b, the repeats {8}, {8,40} and ?,"
    r" and signs behind a backslash"
)
_REMEMBERED: Final = 1_000


class InvalidPatternError(ValueError):
    """It is no pattern of this language. The text says what is wrong."""


class OwnPattern:
    """A pattern that can be looked for.

    Raises:
        InvalidPatternError: It is none.
    """

    def __init__(self, text: str) -> None:
        if not 0 < len(text) <= MAX_PATTERN:
            raise InvalidPatternError(f"must have 1 to {MAX_PATTERN} characters")
        parts = list(_parts(text))
        if sum(low for _, low, _ in parts) < 1:
            raise InvalidPatternError("must not match an empty text")
        if sum(high for _, _, high in parts) > MAX_LENGTH:
            raise InvalidPatternError(f"must match at most {MAX_LENGTH} characters in all")
        try:
            self._compiled = re.compile("".join(part for part, _, _ in parts), re.DOTALL)
        except re.error as error:
            raise InvalidPatternError(f"has a set that cannot be read: {error.msg}") from None

    def replace(self, text: str, replacement: str) -> str:
        """Replace every match, each as early as possible."""
        kept: list[str] = []
        done = at = 0
        while at < len(text):
            found = self._compiled.search(text, at, at + STEP + MAX_LENGTH + 1)
            if found is None or found.start() >= at + STEP:
                at += STEP
                continue
            kept += text[done : found.start()], replacement
            done = at = found.end()
        return "".join((*kept, text[done:])) if kept else text


@lru_cache(_REMEMBERED)
def own_pattern(text: str) -> OwnPattern:
    """Make an `OwnPattern`, once."""
    return OwnPattern(text)


def _parts(text: str) -> Iterator[tuple[str, int, int]]:
    """Each element as a possessive expression of Python's, with how many characters it takes: at least and at most."""
    at = 0
    while at < len(text):
        found = _ELEMENT.match(text, at)
        if found is None:
            raise InvalidPatternError(f"cannot be read from {text[at:][:20]!r} on; {_ALLOWED}")
        at = found.end()
        if found["edge"]:
            yield r"\b", 0, 0
            continue
        one = found["one"]
        if one.startswith("["):
            one = re.sub(r"([&~|])\1", r"\\\1\\\1", one)  # a doubled sign may become an operation on sets
        elif not one.startswith("\\") and one != ".":
            one = re.escape(one)
        low = 0 if found["maybe"] else int(found["low"] or 1)
        high = 1 if found["maybe"] else int(found["high"] or low)
        if high < max(low, 1):
            raise InvalidPatternError(f"has a repeat that can never be: {found[0]}")
        yield one if low == high == 1 else f"{one}{{{low},{high}}}+", low, high


REDACTED: Final = "[redacted]"

MAX_TEXT: Final = 128 * 1024
"""Characters of a text that are looked at; the rest is not kept."""

# ISO/IEC 7812: 15 or 16 digits in their groups. Other digits may stand beside them: a date before, or an expiry after.
_GROUPED_CARD: Final = re.compile(
    r"(?<![0-9])(?:[2-6][0-9]{3}(?:[ -]?[0-9]{4}){3}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5})(?![0-9])"
)
# 12 to 19 digits, in one or with a blank or a hyphen between any two, where no other digits stand beside them.
_CARD: Final = re.compile(r"(?<![0-9])[2-6][0-9](?:[ -]?[0-9]){10,17}+(?![0-9])")
# The sum of the digits of twice each digit.
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
# RFC 5321, without quoted names. Each part is bounded, and taken once.
_MAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}+@[A-Za-z0-9-]{1,63}+(?:\.(?P<last>[A-Za-z0-9-]{1,63}+)){1,8}+"
)


def redact(text: str, patterns: Sequence[str] = ()) -> str:
    """Return the text without what is to be redacted. The caller has cut it to `MAX_TEXT` characters.

    The patterns are further ones to look for, of the language of `intercept.secrets`.

    Raises:
        InvalidPatternError: One of the patterns is none.
    """
    for pattern in patterns:  # first, so that they see the text as it was written
        text = own_pattern(pattern).replace(text, REDACTED)
    text = scrub(text)
    text = _CARD.sub(_card, _without_grouped_cards(text))
    return _MAIL.sub(_mail, text) if "@" in text else text


def _mail(match: re.Match[str]) -> str:
    top_level = match["last"][:2]
    return REDACTED if len(top_level) > 1 and top_level.isalpha() else match[0]


def _without_grouped_cards(text: str) -> str:
    kept: list[str] = []
    done = at = 0
    while found := _GROUPED_CARD.search(text, at):
        at = found.start() + 1  # the first group may be no part of the card
        if _is_card(found[0]):
            kept += text[done : found.start()], REDACTED
            done = at = found.end()
    return "".join((*kept, text[done:])) if kept else text


def _card(match: re.Match[str]) -> str:
    return REDACTED if _is_card(match[0]) else match[0]


def _is_card(text: str) -> bool:
    """Check the last digit, by Luhn's formula (ISO/IEC 7812-1, annex B)."""
    digits = text.replace(" ", "").replace("-", "")
    return sum(map(int, digits[-1::-2] + digits[-2::-2].translate(_DOUBLED))) % 10 == 0
