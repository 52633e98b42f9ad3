"""What the API's words mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Struct

from handlers.operations.operation import Ask, operation
from intercept.errors import ENDS
from intercept.records import EndReason, Status
from intercept.refusals import RULES, Rule
from resources.fields import doc
from storage.accounts.events import Action
from storage.accounts.users import Role
from storage.alerts.documents import AlertType
from storage.queries.filters.search_language import SEARCH_KEYS
from storage.queries.questions.question import OF_SUBJECT, Counted, Dimension
from upstream.providers.presets import ProviderType

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("me",),
    "provider": ("openai", "anthropic", "demo"),
    "status": tuple(Status),
    "end": tuple(reason for reason in EndReason if reason is not EndReason.COMPLETED),
    "http": ("4xx", "5xx", "401", "429", "529"),
    "streaming": ("true", "false"),
    "cost": (">1", ">0.1"),
    "took": (">10s", ">1m"),
    "tokens": (">10k", ">100k"),
    "cache": ("<50%",),
    "since": ("1h", "24h", "7d", "4w"),
    "until": ("1h", "24h", "7d", "4w"),
    "range": (
        *(
            "today",
            "yesterday",
            "this-week",
            "last-week",
            "this-month",
            "last-month",
            "this-quarter",
            "last-quarter",
        ),
        *("24h", "30d"),
    ),
    "tz": ("UTC",),
}
DIMENSIONS: Final[Mapping[Dimension, tuple[str, str, str]]] = {
    Dimension.USER: ("User", "user", "user"),
    Dimension.GROUP: ("Group", "group", ""),
    Dimension.TOKEN: ("Token", "token", "api_key_id"),
    Dimension.MODEL: ("Model", "model", "model"),
    Dimension.PROVIDER: ("Provider", "provider_name", "provider"),
    Dimension.CLIENT: ("Client", "client", ""),
    Dimension.AGENT: ("Agent", "agent", ""),
    Dimension.SESSION: ("Session", "", ""),
    Dimension.TOOL: ("Tool", "tool", ""),
    Dimension.END_REASON: ("End reason", "end", ""),
    Dimension.HTTP_STATUS: ("HTTP status", "http", "status"),
    Dimension.ERROR_TYPE: ("Error type", "error", ""),
    Dimension.STREAMING: ("Streaming", "streaming", ""),
    Dimension.RULE: ("Reason", "", "rule"),
}
"""What each is called, and the keys that find the calls and sessions, and the refusals, of a group."""

_OF_TOKEN: Final = "{whose} token [“{name}” ]({token_id})"  # noqa: S105 - a sentence


class TitledWord(Struct):
    """What people call a word, and what it means."""

    title: str
    meaning: str


class RuleWord(TitledWord):
    """A rule by which the bridge refuses calls."""

    statuses: Annotated[list[int], doc("The HTTP statuses of its refusals.")]


class DimensionWord(Struct):
    """By what groups of statistics may be made."""

    title: str
    keys: Annotated[
        dict[Counted, str],
        doc("What can be grouped by it, with the key of a search that finds a group; empty if none does."),
    ]


class Vocabulary(Struct):
    """What words mean, and which there are, each in the order in which it is shown."""

    rules: dict[Rule, RuleWord]
    ends: Annotated[dict[EndReason, TitledWord], doc("How a call may fail.")]
    roles: Annotated[dict[Role, str], doc("What each may, the least first.")]
    provider_types: Annotated[dict[ProviderType, str], doc("What people call those that can be added.")]
    alerts: Annotated[dict[AlertType, str], doc("What a webhook is told.")]
    search_keys: Annotated[
        dict[str, tuple[str, ...]],
        doc("Of a search for calls, with values that each may have, or usual ones; none where there are too many."),
    ]
    dimensions: dict[Dimension, DimensionWord]
    actions: Annotated[
        dict[Action, str],
        doc(
            "What an entry of the audit trail says, behind its actor. With fields of the entry's `detail` in braces, behind a "
            "colon a word that is counted, `words` or `time`. `{subject}` is the subject's username, `{whose}` is `their` or "
            "that of another one, `{times}` how often it was. What stands in brackets is said if its fields are there, else "
            "what stands behind a bar."
        ),
    ]


VOCABULARY: Final = Vocabulary(
    rules={rule: RuleWord(title, meaning, list(statuses)) for rule, (title, statuses, meaning) in RULES.items()},
    ends={reason: TitledWord(*said) for reason, said in ENDS.items()},
    roles={
        Role.MEMBER: "sees their own calls",
        Role.READER: "sees everybody's figures, no prompts",
        Role.AUDITOR: "sees everybody's",
        Role.OWNER: "sees everybody's and changes users",
    },
    provider_types={
        ProviderType.OPENAI: "OpenAI",
        ProviderType.ANTHROPIC: "Anthropic",
        ProviderType.GEMINI: "Gemini",
        ProviderType.VERTEX: "Vertex AI",
        ProviderType.AZURE: "Azure OpenAI",
        ProviderType.FOUNDRY: "Foundry",
        ProviderType.OPENROUTER: "OpenRouter",
        ProviderType.COPILOT: "GitHub Copilot",
        ProviderType.CHATGPT: "ChatGPT",
        ProviderType.OLLAMA: "Ollama",
        ProviderType.VLLM: "vLLM",
        ProviderType.OPENAI_COMPATIBLE: "OpenAI-compatible server",
        ProviderType.BEDROCK: "Amazon Bedrock",
        ProviderType.BEDROCK_MANTLE: "Bedrock Mantle",
        ProviderType.CLAUDE_AWS: "Claude on AWS",
    },
    alerts={
        AlertType.BUDGET_THRESHOLD: "50, 80 or 100 % of a budget are used",
        AlertType.BUDGET_FORECAST: "a budget of a week or a month will be used up before its end",
        AlertType.KEY_REFUSED: "a provider refuses a key",
        AlertType.CIRCUIT_OPEN: "a circuit is open",
        AlertType.OWNER_ADDED: "somebody became an owner",
        AlertType.WEEKLY_DIGEST: "each Monday: what calls of the week cost",
    },
    search_keys={key: VALUES.get(key, ()) for key in SEARCH_KEYS},
    dimensions={
        one: DimensionWord(
            title,
            {
                subject: of_refusals if subject is Counted.REFUSALS else of_calls
                for subject in Counted
                if one in OF_SUBJECT[subject]
            },
        )
        for one, (title, of_calls, of_refusals) in DIMENSIONS.items()
    },
    actions={
        Action.USER_ADDED: "added {subject} as {role}[, named “{name}”]",
        Action.USER_CHANGED: "changed {subject}:[ from {role_before} to {role},][ named “{name}” instead of “{name_before}”,]",
        Action.USER_REMOVED: "removed {subject} and revoked {revoked_tokens:token}",
        Action.USER_LINKED: "linked {subject} to who signs in at {issuer}",
        Action.GROUP_ADDED: "added the group {group}[, named “{name}”]",
        Action.GROUP_CHANGED: "changed the group {group}:[ it was {group_before},]"
        "[ named “{name}” instead of “{name_before}”,]",
        Action.GROUP_REMOVED: "removed the group {group}, which had {members:member}, and revoked {revoked_tokens:token}",
        Action.MEMBER_ADDED: "added {subject} to the group {group}",
        Action.MEMBER_REMOVED: "removed {subject} from the group {group}",
        Action.TOKEN_CREATED: f"created {_OF_TOKEN}, which [expires {{expires_at:time}}|never expires]",
        Action.TOKEN_REPLACED: f"replaced {_OF_TOKEN} by {{replaced_by}}; it expires {{expires_at:time}}",
        Action.TOKEN_REVOKED: f"revoked {_OF_TOKEN}",
        Action.POLICY_CHANGED: "changed the policy of {policy}",
        Action.POLICY_REMOVED: "removed the policy of {policy}",
        Action.AUTHENTICATION_FAILED: "was not authenticated{times}: {reason:words} ({plane:words})",
        Action.ACCESS_DENIED: "was refused{times}: {message} ({plane:words})",
        Action.SIGNED_IN: "signed in{times}",
        Action.SESSION_ENDED: "ended a session of {subject}[, who had signed in with token {token_id}]",
        Action.LINK_CREATED: "made a link that signs {subject} in once",
        Action.CALLS_READ: "read {count:call} of {subject} ({way})",
        Action.CALLS_SEARCHED: "searched what {subject} wrote{times}",
        Action.PROVIDER_ADDED: "added the provider {provider}",
        Action.PROVIDER_CHANGED: "changed the provider {provider}:[ {changes}]",
        Action.PROVIDER_REMOVED: "removed the provider {provider}",
        Action.PRICES_CHANGED: "changed own prices: {prices_added:price} came, {prices_removed:price} went",
        Action.WEBHOOK_ADDED: "added the webhook {webhook_id}",
        Action.WEBHOOK_CHANGED: "changed the webhook {webhook_id}: {changes}",
        Action.WEBHOOK_REMOVED: "removed the webhook {webhook_id}",
        Action.VIEW_ADDED: "saved the view “{name}”",
        Action.VIEW_CHANGED: "changed {whose} view “{name}”: {changes}[; it was “{name_before}”]",
        Action.VIEW_REMOVED: "removed {whose} view “{name}”",
        Action.RECOST_REQUESTED: "had calls from {start:time} until {end:time} priced again",
        Action.RECOST_CANCELLED: "stopped calls from being priced again",
        Action.DEMO_FILLED: "had the demo company filled in",
        Action.DEMO_REMOVED: "removed the demo company",
    },
)
"""What this version knows."""


@operation("GET", "vocabulary", tag="names")
async def read_vocabulary(ask: Ask) -> Vocabulary:  # noqa: ARG001 - the same for everybody
    """Read what words mean, and which there are: rules, ends of calls, roles, types, keys, sentences of the audit trail."""
    return VOCABULARY
