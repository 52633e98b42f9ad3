"""The kinds of values that the settings of sign-in have."""

from __future__ import annotations

from settings.kinds import Kind, hidden, matched, require, scrubbed, text_like
from upstream.connections.urls import is_usable_url

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


def _role_mapping(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.strip().rpartition("=") for part in text.split(",")] if text else []
    return tuple((require(value, bool), require(role, ROLES.__contains__)) for value, _, role in pairs)


def _domains(text: str) -> tuple[str, ...]:
    domain = "[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
    return tuple(matched(domain, part.strip())[0] for part in text.lower().split(",")) if text else ()


ISSUER = Kind("URL", "an https URL without user, query and fragment, or an http one of this machine", _issuer, scrubbed)
HEADER = Kind("HEADER", "the name of a header, such as X-Forwarded-User", _header)
CLIENT_ID = Kind("ID", "printable ASCII without spaces", text_like("[!-~]*"))
SECRET = Kind("SECRET", "printable ASCII without spaces", text_like("[!-~]*"), hidden)
SCOPES = Kind("SCOPES", "scopes with spaces between, openid among them", _scopes)
CLAIM = Kind("CLAIM", "the name of a claim, such as email", text_like("[!-~]{1,128}"))
OPTIONAL_CLAIM = Kind("CLAIM", "the name of a claim, such as groups, or nothing", text_like("[!-~]{0,128}"))
ROLE_MAPPING = Kind("MAPPING", f"VALUE=ROLE, several with commas, each ROLE one of {', '.join(ROLES)}", _role_mapping)
DOMAINS = Kind("DOMAINS", "domains such as example.com, separated by commas", _domains)
DISPLAYED = Kind(
    "TEXT",
    f"up to {_MAX_NAME} printable characters",
    lambda text: require(text, lambda it: len(it) <= _MAX_NAME and it.isprintable()),
)
