"""A question: what is added up, by what it is grouped, and over what time. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from intercept.errors import MAX_READ
from storage.queries.questions import calendar
from storage.queries.questions.calendar import Period


class Counted(StrEnum):
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
    GROUPS = "groups"
    """All groups of users together, so that a call is in one row of a bill."""
    LATE = "late"
    """Whether a call ended on a later day, in UTC."""
    MESSAGE = "message"
    """The beginning of the message of an error."""


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
    """One dimension of a question; `tag` is the name of a tag where it is one."""

    dimension: Dimension
    tag: str = ""

    def __str__(self) -> str:
        """As it is requested."""
        return f"{self.dimension}.{self.tag}" if self.tag else self.dimension.value


_TAG_NAME: Final = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)
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

OF_CALLS: Final[Mapping[Dimension, Any]] = MappingProxyType(
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
"""By what calls may be grouped, as an expression of the document of an interception; of a tag that of all of them."""

OF_REFUSALS: Final[Mapping[Dimension, Any]] = MappingProxyType(
    {
        Dimension.USER: "$initiator_id",
        Dimension.RULE: "$rule",
        Dimension.TOKEN: "$api_key_id",
        Dimension.MODEL: "$model",
        Dimension.PROVIDER: "$provider",
        Dimension.HTTP_STATUS: "$status",
    }
)
"""By what refusals may be grouped, as an expression of their rows."""

OF_SESSIONS: Final[Mapping[Dimension, Any]] = MappingProxyType(
    {
        Dimension.USER: "$initiator_id",
        Dimension.CLIENT: "$client",
        Dimension.MODEL: "$models",
        Dimension.PROVIDER: "$provider_names",
    }
)
"""By what sessions may be grouped, as an expression of their documents. A session has several models and providers."""

OF_SUBJECT: Final = MappingProxyType(
    {Counted.CALLS: OF_CALLS, Counted.REFUSALS: OF_REFUSALS, Counted.SESSIONS: OF_SESSIONS}
)

_DAY_OF: Final = {name: {"$dateTrunc": {"date": f"${name}", "unit": "day"}} for name in ("started_at", "ended_at")}
_INTERNAL: Final[Mapping[Dimension, Any]] = MappingProxyType(
    {
        Dimension.GROUPS: {"$ifNull": ["$group_ids", []]},
        Dimension.LATE: {"$gt": [_DAY_OF["ended_at"], _DAY_OF["started_at"]]},
        Dimension.MESSAGE: {"$substrCP": [{"$ifNull": ["$error.message", ""]}, 0, MAX_READ]},
    }
)
"""By what calls are grouped that nobody asks for by name."""


def parse_by(text: str) -> By:
    """Read a dimension by its name; of a tag it is `tag.` and the tag's own.

    Raises:
        ValueError: There is none of this name.
    """
    if text.startswith(_TAG) and _TAG_NAME.fullmatch(name := text.removeprefix(_TAG)):
        return By(Dimension.TAG, name)
    if text == Dimension.TAG:
        raise ValueError("a tag has a name, as in tag.project")
    return By(_ALIASES.get(text) or Dimension(text))


def names_of(subject: Counted) -> list[str]:
    """Return by what something can be grouped."""
    return ["tag.NAME" if one is Dimension.TAG else one.value for one in OF_SUBJECT[subject]]


def expression(subject: Counted, by: By) -> Any:
    """Have MongoDB read a dimension of a document."""
    if by.dimension is Dimension.TAG:
        return {"$ifNull": [f"$tags.{by.tag}", None]}
    return _INTERNAL.get(by.dimension) or OF_SUBJECT[subject][by.dimension]


def has_many(subject: Counted, by: By) -> bool:
    """Whether one document may be in several groups."""
    of_session = {Dimension.MODEL, Dimension.PROVIDER} if subject is Counted.SESSIONS else set()
    return by.dimension in {Dimension.GROUP, Dimension.TOOL, *of_session}


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        start: From then on. An answer over time needs the start of a bucket.
        end: Until before then.
        conditions: What the documents must match beside their time, see `storage.queries.filters`.
        period: How long buckets are.
        zone: Whose days these are.
        compare: Whether the time range before is asked for too.
        visible_to: The user whose calls alone count; None are all.
    """

    start: datetime
    end: datetime
    conditions: Mapping[str, Any] = field(default_factory=dict)
    of: Counted = Counted.CALLS
    by: tuple[By, ...] = ()
    period: Period = Period.ALL
    zone: tzinfo = UTC
    order: Order = Order.CALLS
    limit: int = 20
    offset: int = 0
    compare: bool = False
    visible_to: Any = None

    @property
    def previous(self) -> Question:
        """This question about the time range before."""
        start, end = calendar.previous(self.start, self.end, self.zone)
        return replace(self, start=start, end=end, compare=False)
