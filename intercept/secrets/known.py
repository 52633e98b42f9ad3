"""The secrets that the bridge knows, taken out of whatever is recorded, logged or exported. Pure.

A provider may repeat its key in an error or a tool call, and a key without a vendor's prefix is not recognised by its
shape. So it is looked for by its value, in assembled texts: it does not matter how the response was cut into events. A
text that was cut off in the middle of a secret loses that beginning too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar
from urllib.parse import quote

from msgspec import Struct, structs
from msgspec.msgpack import encode

from intercept.secrets.scrub import SCRUBBED

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

    def __init__(self, secrets: Iterable[str] = (), _known: KnownSecrets | None = None) -> None:
        self._spellings = {
            spelling for secret in secrets if len(secret) >= MIN_SECRET for spelling in _spellings(secret)
        }
        # Nothing is to be done where not even a beginning occurs, and keys of one vendor often begin alike.
        self._beginnings = {spelling[:MIN_SECRET].encode() for spelling in self._spellings}
        if _known is not None:
            self._spellings |= _known._spellings  # noqa: SLF001 - of its own class
            self._beginnings |= _known._beginnings  # noqa: SLF001

    def __repr__(self) -> str:
        return f"KnownSecrets({len(self._spellings)})"

    def learn(self, secrets: Iterable[str]) -> None:
        """Look for these as well from now on. What was known stays: a key that is no more in use is still a secret."""
        learned = KnownSecrets(secrets)
        self._spellings = self._spellings | learned._spellings
        self._beginnings = self._beginnings | learned._beginnings

    def together_with(self, secrets: Iterable[str]) -> KnownSecrets:
        """Return these and further ones, such as what one request carries."""
        return KnownSecrets(secrets, self)

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
