"""What a policy says is kept of texts in records, in its JSON shape. Pure."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.recording import KINDS, RETENTIONS, Keep, Recording
from intercept.secrets import InvalidPatternError, own_pattern
from limits.policies.invalid_field import InvalidFieldError

MAX_OWN_PATTERNS: Final = 20
"""The number of redaction patterns that a policy may have."""

MAX_RETENTION: Final = 3650
"""The most days that a policy may keep texts for."""

TOO_MANY_OWN: Final = f"must have at most {MAX_OWN_PATTERNS} patterns"

Retention = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_RETENTION,
        description="Days after which the texts of a call are removed; what is counted of it stays.",
    ),
]


ResponsesRetention = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_RETENTION,
        description="Days after which the text of a response is removed, where that is earlier than the other texts.",
    ),
]


class RecordingRules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is kept of texts in records. Bodies on their way are never changed."""

    prompts: Annotated[Keep | UnsetType, Meta(description="Of the prompt of a user.")] = UNSET
    tool_inputs: Annotated[Keep | UnsetType, Meta(description="Of what a model gives to the tools that it calls.")] = (
        UNSET
    )
    thoughts: Annotated[Keep | UnsetType, Meta(description="Of what a model shows of its thinking.")] = UNSET
    responses: Annotated[
        Keep | UnsetType,
        Meta(
            description="Of the text that a model responds with, and of messages of errors. Where no policy says it, that text is "
            "not recorded, and messages of errors are kept."
        ),
    ] = UNSET
    patterns: Annotated[
        list[str] | UnsetType,
        Meta(
            description="What is redacted beside credentials, cards and mail addresses: sequences of characters, sets, "
            "`\\d`, `\\w`, `\\s`, `\\b`, `.`, each with a bounded repeat such as `{5}` or `{1,40}`."
        ),
    ] = UNSET

    retention: Retention | UnsetType = UNSET
    responses_retention: ResponsesRetention | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Check the patterns."""
        if len(self.patterns or []) > MAX_OWN_PATTERNS:
            raise InvalidFieldError("patterns", TOO_MANY_OWN)
        for number, pattern in enumerate(self.patterns or []):
            try:
                own_pattern(pattern)
            except InvalidPatternError as error:
                raise InvalidFieldError(f"patterns[{number}]", str(error)) from error

    @property
    def recording(self) -> Recording:
        """What is kept of each kind of text."""
        kept = {name: value for name in KINDS if (value := getattr(self, name)) is not UNSET}
        days = {name: days for name in RETENTIONS if (days := getattr(self, name)) is not UNSET}
        return Recording(**kept, **days, patterns=tuple(self.patterns or ()))
