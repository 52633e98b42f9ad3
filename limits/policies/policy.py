"""The content of a policy. Each field may be absent; then the policy does not restrict it.

The structs are the JSON of the API. They validate themselves, so an invalid one does not exist.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fnmatch import translate
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.recording import KINDS, RETENTIONS, Keep, Recording
from intercept.secrets import InvalidPatternError, own_pattern
from limits.limit import BudgetPeriod


class InvalidFieldError(ValueError):
    """A field has a value that is not allowed. The text is `field: rule`, which `reading.py` takes apart."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")


ANY_TEXT: Final = "*"
"""The pattern that means every text. Those that match it do, too."""


@lru_cache(4096)
def glob(pattern: str) -> re.Pattern[str]:
    """The expression of a pattern: `*` matches any text, and case makes no difference.

    It matches texts in lower case, and the text of another pattern if it means all that this one means. Each part between two
    `*` is looked for once, so time is bounded by the length of the text times that of the pattern, whatever is in them.
    """
    return re.compile(translate(pattern.lower().replace("[", "[[]").replace("?", "[?]")))


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


MAX_REQUESTS: Final = 1_000_000
"""The largest maximum of concurrency and of a rate."""

MAX_TOKENS: Final = 10**12
"""The largest maximum of tokens, of a window or of a request."""

MAX_USD: Final = 10**9
"""The largest budget, in US dollars."""

MAX_WINDOW_SECONDS: Final = 31 * 86_400
"""The longest window."""

MAX_PATTERNS: Final = 100
"""How many patterns a list may have."""

MAX_PATTERN: Final = 200
"""How many characters a pattern may have."""

_MICRO_DOLLARS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_PATTERN: Final = re.compile(rf"[!-~]{{1,{MAX_PATTERN}}}")
_USD: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_DURATION: Final = re.compile(r"(?=.)(?:([0-9]{1,7})d)?(?:([0-9]{1,7})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?")
_UNITS: Final = (86_400, 3_600, 60, 1)

NOT_A_PATTERN: Final = f"must be 1 to {MAX_PATTERN} visible ASCII characters, such as claude-*; * stands for any text"
NOT_A_WINDOW: Final = "must be a duration of whole seconds from 1s to 31d, such as 20s, 5m or 1h30m"
NOT_MONEY: Final = (
    f"must be US dollars from 0 to {MAX_USD:,}, such as 50 or 0.25, with at most six digits after the point"
)
EMPTY_ALLOW: Final = 'must name a pattern: an empty list would allow nothing; to refuse every model, deny "*"'
NOTHING_LEFT: Final = "deny has this pattern, or one that means more: it would match nothing"
TOO_MANY: Final = f"must have at most {MAX_PATTERNS} patterns"


Wildcard = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": f"^[!-~]{{1,{MAX_PATTERN}}}$"},
        description="`*` stands for any text, also for none. Case makes no difference.",
    ),
]
Window = Annotated[
    str,
    Meta(
        extra_json_schema={"pattern": "^([0-9]{1,7}d)?([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$"},
        description="A duration such as `20s`, `5m` or `1h30m`, from `1s` to `31d`.",
    ),
]
Requests = Annotated[int, Meta(ge=0, le=MAX_REQUESTS, description="0 refuses every request.")]
Shadow = Annotated[bool, Meta(description="Whether it only counts what it would refuse, and refuses nothing.")]
Usd = (
    Annotated[str, Meta(extra_json_schema={"pattern": r"^[0-9]{1,10}(\.[0-9]{1,6})?$"})]
    | Annotated[int, Meta(ge=0, le=MAX_USD)]
    | Annotated[float, Meta(ge=0, le=MAX_USD)]
)


class ModelPattern(Struct, frozen=True, forbid_unknown_fields=True):
    """Models of some providers alone."""

    provider: Annotated[Wildcard, Meta(description="The provider's name, which may have `*` in it.")]
    model: Wildcard = "*"

    def __post_init__(self) -> None:
        """Check the patterns."""
        _check_pattern("provider", self.provider)
        _check_pattern("model", self.model)

    def __str__(self) -> str:
        """In words."""
        return f"{self.model} of {self.provider}"


Pattern: TypeAlias = Wildcard | ModelPattern


class Models(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which models may be used. What is denied is refused whatever is allowed."""

    allow: Annotated[list[Pattern] | UnsetType, Meta(description="Nothing else may be used.")] = UNSET
    deny: Annotated[list[Pattern] | UnsetType, Meta(description="None of these may be used.")] = UNSET
    unpriced: Annotated[
        Literal["allow", "deny"] | UnsetType,
        Meta(
            description="Whether models without a known price may be used, where the bridge pays. `deny` holds whatever "
            "others allow."
        ),
    ] = UNSET

    def __post_init__(self) -> None:
        """Check the patterns."""
        for name, patterns in (("allow", self.allow or []), ("deny", self.deny or [])):
            if len(patterns) > MAX_PATTERNS:
                raise InvalidFieldError(name, TOO_MANY)
            for number, pattern in enumerate(patterns):
                if isinstance(pattern, str):
                    _check_pattern(f"{name}[{number}]", pattern)
        if self.allow == []:
            raise InvalidFieldError("allow", EMPTY_ALLOW)
        denied = [tuple(map(glob, _parts(pattern))) for pattern in self.deny or []]
        for number, pattern in enumerate(self.allow or []):
            provider, model = _parts(pattern)
            if any(providers.match(provider) and models.match(model) for providers, models in denied):
                raise InvalidFieldError(f"allow[{number}]", NOTHING_LEFT)


class Concurrency(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Requests that run at the same time."""

    requests: Requests
    shadow: Shadow = False


class Rate(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Requests that start in any window."""

    requests: Requests
    window: Window
    shadow: Shadow = False

    def __post_init__(self) -> None:
        """Check the window."""
        window_ns(self.window)


class TokenLimit(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tokens in any window: input, output and those written to a cache."""

    count: Annotated[int, Meta(ge=0, le=MAX_TOKENS, description="0 refuses every request.")]
    window: Window
    shadow: Shadow = False

    def __post_init__(self) -> None:
        """Check the window."""
        window_ns(self.window)


class Budget(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """US dollars in a calendar period, or in all. Calls with a user's own key cost nothing."""

    usd: Annotated[
        Usd,
        Meta(
            description="As text or as a number, to a millionth of a dollar. 0 refuses what the bridge would pay for."
        ),
    ]
    period: Literal["day", "week", "month", "total"]
    reserve: Annotated[
        bool, Meta(description="Whether the most that a call may cost by its `max_tokens` is held back until it ends.")
    ] = False
    shadow: Shadow = False

    def __post_init__(self) -> None:
        """Check the money."""
        _micro_dollars(self.usd)

    @property
    def micro_dollars(self) -> int:
        """How much, in millionths of a dollar."""
        return _micro_dollars(self.usd)

    @property
    def calendar(self) -> BudgetPeriod:
        """Which period."""
        return BudgetPeriod(self.period)


class PolicyLimits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much may be used."""

    concurrency: Annotated[
        Requests | Concurrency | UnsetType, Meta(description="Requests at a time: a number, or an object.")
    ] = UNSET
    rate: Rate | UnsetType = UNSET
    tokens: TokenLimit | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET


class SharedLimits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits of many users, in two parts."""

    each_member: Annotated[PolicyLimits | UnsetType, Meta(description="Of each of them, by themselves.")] = UNSET
    together: Annotated[PolicyLimits | UnsetType, Meta(description="Of all of them together.")] = UNSET


MaxTokens = Annotated[
    int,
    Meta(
        ge=1, le=MAX_TOKENS, description="The most output tokens that a request may ask for; more is refused with 400."
    ),
]
Byok = Annotated[
    Literal["allow", "deny"],
    Meta(description="Whether a user's own key for a provider may be used. `deny` holds whatever others allow."),
]


ManagedSettings = Annotated[
    dict[str, Any],
    Meta(
        description="What Claude Code gets as its managed settings where it signs in at the bridge, as in its "
        "`managed-settings.json`."
    ),
]
MAX_SETTINGS_DEPTH: Final = 20
"""How deeply objects and lists may be nested in managed settings."""

TOO_DEEP: Final = f"must be nested at most {MAX_SETTINGS_DEPTH} deep"
NOT_UNICODE: Final = "must be valid Unicode text"


def _check_settings(settings: dict[str, Any] | UnsetType) -> None:
    """Check that settings can be sent whatever they are merged with."""
    level: list[Any] = [] if settings is UNSET else [settings]
    for _ in range(MAX_SETTINGS_DEPTH + 1):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise InvalidFieldError("managed_settings", TOO_DEEP)
    try:
        json.dumps(settings or None, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidFieldError("managed_settings", NOT_UNICODE) from error


class Policy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The policy of a user or a token. Absent fields restrict nothing."""

    models: Models | UnsetType = UNSET
    limits: PolicyLimits | UnsetType = UNSET
    max_tokens: MaxTokens | UnsetType = UNSET
    byok: Byok | UnsetType = UNSET
    recording: RecordingRules | UnsetType = UNSET
    managed_settings: ManagedSettings | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Check the managed settings."""
        _check_settings(self.managed_settings)


class SharedPolicy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The policy of everyone or of a group. Absent fields restrict nothing."""

    models: Models | UnsetType = UNSET
    limits: SharedLimits | UnsetType = UNSET
    max_tokens: MaxTokens | UnsetType = UNSET
    byok: Byok | UnsetType = UNSET
    recording: RecordingRules | UnsetType = UNSET
    managed_settings: ManagedSettings | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Check the managed settings."""
        _check_settings(self.managed_settings)


AnyPolicy: TypeAlias = Policy | SharedPolicy


def window_ns(text: str) -> int:
    """The length of a window in nanoseconds.

    Raises:
        InvalidFieldError: It is not one.
    """
    match = _DURATION.fullmatch(text)
    seconds = sum(int(part or 0) * unit for part, unit in zip(match.groups(), _UNITS, strict=True)) if match else 0
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        raise InvalidFieldError("window", NOT_A_WINDOW)
    return seconds * _SECOND_NS


def _micro_dollars(usd: str | float) -> int:
    text = usd if isinstance(usd, str) else repr(usd)
    if not isinstance(usd, str) and "e" in text:  # a float such as 1e-05
        text = f"{Decimal(text):f}"
    text = text.removesuffix(".0")
    if not _USD.fullmatch(text) or (amount := Decimal(text)) > MAX_USD:
        raise InvalidFieldError("usd", NOT_MONEY)
    return int(amount * _MICRO_DOLLARS)


def _check_pattern(field: str, pattern: str) -> None:
    if not _PATTERN.fullmatch(pattern):
        raise InvalidFieldError(field, NOT_A_PATTERN)


def _parts(pattern: Any) -> tuple[str, str]:
    """The provider and the model of a pattern, in lower case."""
    if isinstance(pattern, str):
        return "*", pattern.lower()
    return pattern.provider.lower(), pattern.model.lower()
