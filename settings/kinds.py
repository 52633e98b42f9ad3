"""The kinds of values settings have: how a text is read, and in words which texts are allowed."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from click.shell_completion import CompletionItem

from limits.calendar import time_zone
from upstream.connections.network import Proxy, is_usable_url
from upstream.credentials.sigv4 import AwsKeys
from upstream.providers.provider import MAX_FALLBACKS, MAX_WEIGHT
from upstream.routes import ALLOWED, parse_routes

NO_PROXY = "none"
"""The proxy of a provider that is reached without one."""

_PATHS = {"FILE": "file", "FOLDER": "dir"}
"""How a shell completes them, by the name of their kind."""

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Network = IPv4Network | IPv6Network


def hidden(_: str) -> str:
    """Say nothing of a text that is a secret."""
    return "the value given"


def scrub_uri(uri: str) -> str:
    """Replace the user name and password of a URI, or of what was meant to be one, by asterisks."""
    return re.sub(r"^([a-z+]+://)?.*@", r"\1***@", uri, flags=re.IGNORECASE | re.DOTALL)


def scrubbed(uri: str) -> str:
    """Repeat a URI without the password in it."""
    return repr(scrub_uri(uri))


@dataclass(frozen=True)
class SettingKind(click.ParamType[T]):
    """A kind of value, as click takes it.

    `parse` raises ValueError, OverflowError or RecursionError for a text that is not allowed; `allowed` completes the
    sentence "give .."; `echo` repeats a text in an error message, without the secrets in it; `name` stands for the value in
    the help.
    """

    name: str
    allowed: str
    parse: Callable[[str], T]
    echo: Callable[[str], str] = repr

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Read a text; space around it is ignored."""
        try:
            return self.parse(value.strip())
        except (ValueError, OverflowError, RecursionError):
            self.fail(f"{self.echo(value)} is not allowed; give {self.allowed}", param, ctx)

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """The name as it is, where click would write it in capitals."""
        return self.name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:  # noqa: ARG002 - names are click's
        """Complete one of a few values, or the path of a file or folder."""
        if self.name in _PATHS:
            return [CompletionItem(incomplete, type=_PATHS[self.name])]
        options = self.name.split("|")
        return [CompletionItem(one) for one in options if len(options) > 1 and one.startswith(incomplete)]


class RecordPolicy(StrEnum):
    """What happens to requests while the database cannot be reached."""

    STRICT = "strict"
    SPOOL = "spool"


class ChatStreamUsage(StrEnum):
    """Whether the bridge asks a chat stream for its usage where the client did not."""

    ENSURE = "ensure"
    AS_ASKED = "as-asked"


class LimitsScope(StrEnum):
    """Scope of the limits: each process on its own, all processes of one server, or all on one database."""

    PROCESS = "process"
    SERVER = "server"
    CLUSTER = "cluster"


class TokenCreation(StrEnum):
    """Who may create tokens by HTTP: each user their own, and owners all of them, or owners alone."""

    MEMBERS = "members"
    OWNERS = "owners"


@dataclass(frozen=True)
class Address:
    """Where to listen. An empty host is every interface; an IPv6 host stands here without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def choice(options: type[E], *left_out: E) -> SettingKind[E]:
    """One of the values of an enumeration, but for those that are `left_out`."""
    names = [option.value for option in options if option not in left_out]
    return SettingKind("|".join(names), " or ".join(names), lambda text: options(require(text, names.__contains__)))


def optional(kind: SettingKind[T]) -> SettingKind[T | None]:
    """Make a kind that also takes an empty text, which is None."""
    return SettingKind(kind.name, kind.allowed, lambda text: kind.parse(text) if text else None, kind.echo)


def _names(text: str) -> tuple[str, ...]:
    return require(_several(PROVIDER_NAME.parse)(text.strip()), lambda it: len(set(it)) == len(it) <= MAX_FALLBACKS)


def matched(pattern: str, text: str) -> re.Match[str]:
    """Match all of a text, or raise ValueError."""
    match = re.fullmatch(pattern, text)
    if match is None:
        raise ValueError
    return match


def text_like(pattern: str) -> Callable[[str], str]:
    """What reads a text of this pattern as it is."""
    return lambda text: matched(pattern, text)[0]


def _several(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """What reads texts between commas; an empty text has none."""
    return lambda text: tuple(parse(one.strip()) for one in text.split(",")) if text else ()


def _positive(parse: Callable[[str], T]) -> Callable[[str], T]:
    return lambda text: require(parse(text), bool)


def _whole(text: str) -> int:
    return int(matched("[0-9]{1,9}", text)[0])


def require(value: T, holds: Callable[[T], bool]) -> T:
    """Return a value for which something holds, or raise ValueError."""
    if not holds(value):
        raise ValueError
    return value


def _switch(text: str) -> bool:
    return matched("(true|yes|on|1)|false|no|off|0", text.lower())[1] is not None


def _size(text: str) -> int:
    number, unit = matched("([0-9]{1,12})(|B|KiB|MiB|GiB)", text).groups()
    return int(number) * {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]


_DURATION = "".join(
    f"(?:(?P<{name}>[0-9]{{1,9}}){unit})?"
    for name, unit in (("days", "d"), ("hours", "h"), ("minutes", "m"), ("seconds", "s"), ("milliseconds", "ms"))
)
# MongoDB's TTL indexes and the event loop's timers take at least this much.
MAX_DURATION = timedelta(days=3650)


def _duration(text: str) -> timedelta:
    if text == "0":
        return timedelta(0)
    parts = matched(f"(?=.){_DURATION}", text).groupdict(default="0")
    duration = timedelta(**{unit: int(number) for unit, number in parts.items()})
    return require(duration, lambda it: it <= MAX_DURATION)


def _address(text: str) -> Address:
    match = matched(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})", text)
    port = require(int(match["port"]), lambda it: it <= 65535)  # noqa: PLR2004 - the range of a TCP port
    return Address(match["host"] if match["ipv6"] is None else str(IPv6Address(match["ipv6"])), port)


def _base_url(text: str) -> str:
    parts = urlsplit(matched(r"https?://[^?#@]+", matched("[!-~]+", text)[0])[0])
    if not parts.hostname or parts.port == 0:
        raise ValueError
    return text if text.endswith("/") else text + "/"


def _proxy_url(text: str) -> str:
    if text not in {"", NO_PROXY}:
        Proxy.of(text)
    return text


# Words that stand in the same place of a path as a provider's name, and the provider that comes with the bridge.
RESERVED_NAMES = (
    "audit", "budgets", "clients", "demo", "demo-company", "desk", "device", "errors", "groups", "interceptions", "invitations", "limits", "models", "policies", "prices", "providers",
    "refusals", "sessions", "sign-in", "spend", "stats", "tags", "tokens", "users", "views", "vocabulary", "webhooks",
)  # fmt: skip


def _encryption_key(text: str) -> bytes:
    key = b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    return require(key, lambda it: len(it) == 32)  # noqa: PLR2004 - AES-256


def _google_account(text: str) -> dict[str, str]:
    account = json.loads(text)
    wanted = ("client_email", "private_key", "token_uri")
    held = isinstance(account, dict) and account.get("type") == "service_account"
    return require(account, lambda it: held and all(isinstance(it.get(name), str) for name in wanted))


def _money(text: str) -> Decimal:
    return Decimal(matched(r"[0-9]{1,9}(\.[0-9]{1,6})?", text)[0])


def _time_zone(text: str) -> str:
    time_zone(text)
    return text


def _aws_access_key(text: str) -> AwsKeys:
    key_id, secret, token = matched("([A-Za-z0-9]{16,128}):([!-9;-~]+)(?::([!-9;-~]+))?", text).groups(default="")
    return AwsKeys(key_id, secret, token)


SWITCH = SettingKind("true|false", "true or false", _switch)
MONEY = SettingKind("USD", "an amount in dollars such as 50 or 0.25, 0 (off) or more", _money)
TIME_ZONE = SettingKind("ZONE", "the name of a time zone such as UTC or Europe/Berlin", _time_zone)
LIMIT = SettingKind("N", "a whole number, 0 (off) or more", _whole)
POSITIVE = SettingKind("N", "a whole number, 1 or more", _positive(_whole))
WORKERS = SettingKind(
    "N",
    "a whole number from 1 to 256",
    lambda text: require(_whole(text), lambda it: 1 <= it <= 256),  # noqa: PLR2004 - more are a mistake
)
SIZE = SettingKind("SIZE", "a size of 1 byte or more, such as 67108864 or 64MiB", _positive(_size))
_DURATIONS = "such as 500ms, 30s, 10m, 1h30m or 60d, up to 3650d"
DURATION = SettingKind("DURATION", f"0 or a duration {_DURATIONS}", _duration)
POSITIVE_DURATION = SettingKind("DURATION", f"a duration longer than 0, {_DURATIONS}", _positive(_duration))
ADDRESS = SettingKind("HOST:PORT", "HOST:PORT with a port from 0 to 65535 and an IPv6 host in brackets", _address)
FOLDER = SettingKind("FOLDER", "a folder's path", lambda text: Path(matched("[^\0]+", text)[0]))
NETWORKS = SettingKind("CIDRS", "networks such as 10.0.0.0/8,fd00::/8", _several(ip_network))
MONGODB_URI = SettingKind(
    "URI", "a URI that starts with mongodb:// or mongodb+srv://", text_like(r"(mongodb(\+srv)?://[!-~]+)?"), scrubbed
)
DATABASE_NAME = SettingKind(
    "NAME",
    "1 to 63 letters, digits, _ and -, but not admin, config or local, which are MongoDB's own",
    text_like("(?!(admin|config|local)$)[A-Za-z0-9_-]{1,63}"),
)
BASE_URL = SettingKind("URL", "an http or https URL without user, query and fragment", _base_url, scrubbed)
PROVIDER_NAME = SettingKind(
    "NAME",
    f"lower-case letters and digits with single hyphens between, but not {', '.join(RESERVED_NAMES)}",
    text_like(f"(?!({'|'.join(RESERVED_NAMES)})$)(?=.{{1,64}}$)[a-z0-9]+(-[a-z0-9]+)*"),
)
FALLBACK = SettingKind("NAMES", f"names of at most {MAX_FALLBACKS} providers, each once, separated by commas", _names)
WEIGHT = SettingKind(
    "N", f"a whole number from 0 to {MAX_WEIGHT}", lambda text: require(_whole(text), lambda it: it <= MAX_WEIGHT)
)
FILE = SettingKind("FILE", "the path of a file", lambda text: matched("[^\0]*", text)[0])
HOSTS = SettingKind(
    "HOSTS", "host names and domains, separated by commas, or *", text_like(r"[A-Za-z0-9.:_*, /\[\]-]*")
)
COLLECTOR = SettingKind(
    "URL",
    "an http or https URL without user, query and fragment, or nothing",
    lambda text: text and _base_url(text),
    scrubbed,
)
PROXY_URL = SettingKind("URL", "http://HOST:PORT, with USER:PASSWORD@ where it is needed, or none", _proxy_url, hidden)
REGION = SettingKind("REGION", "the name of a region, such as us-east-1", text_like("(?:[a-z0-9]+(?:-[a-z0-9]+)*)?"))
PROJECT = SettingKind("PROJECT", "the id or the number of a project", text_like("(?:[a-z0-9][a-z0-9.:-]{0,99})?"))
GOOGLE_ACCOUNT = SettingKind(
    "JSON", "the key of a service account, as Google gives it out in JSON", _google_account, hidden
)
ROUTES = SettingKind("ROUTES", ALLOWED, parse_routes)
KEYS = SettingKind(
    "KEYS", "printable ASCII keys without spaces, separated by commas", _several(text_like("[!-~]+")), hidden
)
ENCRYPTION_KEYS = SettingKind(
    "KEYS",
    "32 bytes in base64, as `openssl rand -base64 32` prints them; several with commas",
    _several(_encryption_key),
    hidden,
)
AWS_ACCESS_KEY = SettingKind(
    "KEY", "ID:SECRET of an access key of AWS, or ID:SECRET:SESSION-TOKEN of a temporary one", _aws_access_key, hidden
)
PROFILE = SettingKind("PROFILE", "the name of a profile", text_like("[^\\0\n]*"))


ROLES = ("owner", "auditor", "reader", "member")
"""The roles that claims may give."""


def _issuer(text: str) -> str:
    return require(text, lambda it: not it or (is_usable_url(it) and "?" not in it))


_MAX_NAME = 64  # characters of what is shown, and of a header's name
# What means something else already, and what any client sends.
_TAKEN_HEADERS = frozenset(
    {
        *("host", "cookie", "authorization", "connection", "origin", "user-agent"),
        *("accept", "content-type", "content-length"),
        *("x-api-key", "api-key", "x-goog-api-key", "x-coder-ai-governance-token", "coder-session-token"),
        *("x-forwarded-for", "x-forwarded-proto", "forwarded"),
    }
)


def _header(text: str) -> str:
    name = matched("([A-Za-z0-9]+(-[A-Za-z0-9]+)*)?", text)[0]
    return require(name, lambda it: it.lower() not in _TAKEN_HEADERS and len(it) <= _MAX_NAME)


def _scopes(text: str) -> str:
    scopes = matched("[!-~]+( +[!-~]+)*", text)[0].split()
    return " ".join(require(scopes, lambda it: "openid" in it))


def _mapped_role(text: str) -> tuple[str, str]:
    value, _, role = text.rpartition("=")
    return require(value, bool), require(role, ROLES.__contains__)


_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"


def _domain(text: str) -> str:
    return matched(f"{_LABEL}([.]{_LABEL})*", text.lower())[0]


ISSUER = SettingKind(
    "URL", "an https URL without user, query and fragment, or an http one of this machine", _issuer, scrubbed
)
HEADER = SettingKind("HEADER", "the name of a header, such as X-Forwarded-User", _header)
CLIENT_ID = SettingKind("ID", "printable ASCII without spaces", text_like("[!-~]*"))
SECRET = SettingKind("SECRET", "printable ASCII without spaces", text_like("[!-~]*"), hidden)
SCOPES = SettingKind("SCOPES", "scopes with spaces between, openid among them", _scopes)
CLAIM = SettingKind("CLAIM", "the name of a claim, such as email", text_like("[!-~]{1,128}"))
OPTIONAL_CLAIM = SettingKind("CLAIM", "the name of a claim, such as groups, or nothing", text_like("[!-~]{0,128}"))
ROLE_MAPPING = SettingKind(
    "MAPPING", f"VALUE=ROLE, several with commas, each ROLE one of {', '.join(ROLES)}", _several(_mapped_role)
)
DOMAINS = SettingKind("DOMAINS", "domains such as example.com, separated by commas", _several(_domain))
DISPLAYED = SettingKind(
    "TEXT",
    f"up to {_MAX_NAME} printable characters",
    lambda text: require(text, lambda it: len(it) <= _MAX_NAME and it.isprintable()),
)
