"""What calls, refusals and sessions are grouped by, and where their documents have it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple


class Subject(StrEnum):
    """What is added up."""

    CALLS = "calls"
    REFUSALS = "refusals"
    SESSIONS = "sessions"


class Dimension(StrEnum):
    """What the members of a group have in common."""

    USER = "user"
    GROUP = "group"
    TOKEN = "token"  # noqa: S105 - a word
    MODEL = "model"
    PROVIDER = "provider"
    CLIENT = "client"
    AGENT = "agent"
    SESSION = "session"
    TOOL = "tool"
    END_REASON = "end_reason"
    HTTP_STATUS = "http_status"
    ERROR_TYPE = "error_type"
    RULE = "rule"
    STREAMING = "streaming"
    TAG = "tag"


class Order(StrEnum):
    """What groups are sorted by, the most of it first: of the cache the highest rate, of the change the largest growth."""

    CALLS = "calls"
    COST = "cost"
    TOKENS = "tokens"
    FAILED = "failed"
    P95 = "p95"
    CACHE = "cache"
    CHANGE = "change"


class By(NamedTuple):
    """One dimension of a query; `tag` is the name of a tag where it is one."""

    dimension: Dimension
    tag: str = ""

    def __str__(self) -> str:
        """As it is requested."""
        return f"{self.dimension}.{self.tag}" if self.tag else self.dimension.value


TAG_NAME: Final = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)
"""A name of a tag."""

_TAG: Final = "tag."
_ALIASES: Final = MappingProxyType(
    {
        "initiator": Dimension.USER,
        "provider_name": Dimension.PROVIDER,
        "end": Dimension.END_REASON,
        "http": Dimension.HTTP_STATUS,
        "error": Dimension.ERROR_TYPE,
    }
)

CALLS: Final[Mapping[Dimension, Any]] = MappingProxyType(
    {
        Dimension.USER: "$initiator_id",
        Dimension.GROUP: {"$ifNull": ["$group_ids", []]},
        Dimension.TOKEN: {"$ifNull": ["$api_key_id", None]},
        Dimension.MODEL: "$model",
        Dimension.PROVIDER: "$provider_name",
        Dimension.CLIENT: "$client",
        Dimension.AGENT: {"$ifNull": ["$agent.hints.agent_type", "$agent.id", None]},
        Dimension.SESSION: {"$ifNull": ["$session_id", "$root_id", "$_id"]},
        Dimension.TOOL: {"$setUnion": [{"$ifNull": ["$tool_usages.tool", []]}, []]},
        Dimension.END_REASON: "$end_reason",
        Dimension.HTTP_STATUS: {"$ifNull": ["$upstream_status", None]},
        Dimension.ERROR_TYPE: {"$ifNull": ["$error.type", None]},
        Dimension.STREAMING: "$streaming",
        Dimension.TAG: "$tags",
    }
)
"""Expressions of the document of an interception; of a tag that of all of them."""

REFUSALS: Final[Mapping[Dimension, Any]] = MappingProxyType(
    {
        Dimension.USER: "$initiator_id",
        Dimension.RULE: "$rule",
        Dimension.TOKEN: "$api_key_id",
        Dimension.MODEL: "$model",
        Dimension.PROVIDER: "$provider",
        Dimension.HTTP_STATUS: "$status",
    }
)
"""Expressions of a row about refusals."""

SESSIONS: Final[Mapping[Dimension, Any]] = MappingProxyType(
    {
        Dimension.USER: "$initiator_id",
        Dimension.CLIENT: "$client",
        Dimension.MODEL: "$models",
        Dimension.PROVIDER: "$provider_names",
    }
)
"""Expressions of the document of a session, which has several models and providers."""

OF_SUBJECT: Final = MappingProxyType({Subject.CALLS: CALLS, Subject.REFUSALS: REFUSALS, Subject.SESSIONS: SESSIONS})


def parse_by(text: str) -> By:
    """Read a dimension by its name; of a tag it is `tag.` and the tag's own.

    Raises:
        ValueError: There is none of this name.
    """
    if text.startswith(_TAG) and TAG_NAME.fullmatch(name := text.removeprefix(_TAG)):
        return By(Dimension.TAG, name)
    if text == Dimension.TAG:
        raise ValueError("a tag has a name, as in tag.project")
    return By(_ALIASES.get(text) or Dimension(text))


def names_of(subject: Subject) -> list[str]:
    """Return by what something can be grouped."""
    return ["tag.NAME" if one is Dimension.TAG else one.value for one in OF_SUBJECT[subject]]


def expression(subject: Subject, by: By) -> Any:
    """Have MongoDB read it of a document."""
    if by.dimension is Dimension.TAG:
        return {"$ifNull": [f"$tags.{by.tag}", None]}
    return OF_SUBJECT[subject][by.dimension]


def has_many(subject: Subject, by: By) -> bool:
    """Whether one document may be in several groups."""
    of_session = {Dimension.MODEL, Dimension.PROVIDER} if subject is Subject.SESSIONS else set()
    return by.dimension in {Dimension.GROUP, Dimension.TOOL, *of_session}
