"""Interceptions that look like a company's: users and models by Zipf, habits, sessions with threads, office hours.

The same seed gives the same population, so two runs can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import accumulate, islice
from random import Random
from typing import Any
from uuid import UUID

from intercept.records import (
    CredentialKind,
    Ending,
    EndReason,
    Interception,
    ModelThought,
    ProviderError,
    Reading,
    TokenUsage,
    ToolUsage,
    UserPrompt,
)
from storage.costs.prices import PRECISION, Cost, InputRates
from storage.recording.charged import charged
from storage.recording.documents import ending_fields, start_document

DAYS = 60
CALLS_PER_SESSION = 9
FEWEST_USERS = 40
FAILED = 0.03
NEW_THREAD = 0.2
CALLS_A_TOOL = 0.45
USUAL_MODELS = 4
"""How many models one person uses as a rule, or fewer."""

UNUSUAL = 0.05
"""The share of sessions with any other model and client."""

_RATES = InputRates(Decimal("3e-6"), Decimal("3e-7"), Decimal("3.75e-6"))
_NOBODY = UUID(int=0)
_ROUTES = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}
MODELS = (
    *(("anthropic", f"claude-{size}-4-{minor}") for minor in (5, 1, 6) for size in ("sonnet", "opus", "haiku")),
    *(("openai", name) for name in ("gpt-5", "gpt-5-mini", "gpt-4o", "gpt-4.1", "o3", "o4-mini", "gpt-4o-mini")),
    *(("openai", f"in-house-{number}") for number in range(14)),
)
CLIENTS = ("Claude Code", "Codex", "Cursor", "Zed", "Unknown", "GitHub Copilot (VS Code)")
TOOLS = ("Bash", "Read", "Edit", "Grep", "Write", "Glob", "WebFetch", "TodoWrite", "Task", "mcp__tracker__search")
PROJECTS = tuple(f"project-{number}" for number in range(40))
TAGGED = 0.6
"""The share of sessions whose client sends tags."""

_WITHOUT_SESSION = {"Cursor", "Unknown"}
_FAILURES = (
    (EndReason.CLIENT_DISCONNECTED, 200, None),
    (EndReason.UPSTREAM_ERROR, 529, ProviderError(type="overloaded_error", message="Overloaded")),
    (EndReason.UPSTREAM_ERROR, 429, ProviderError(type="rate_limit_error", message="Too many requests")),
    (EndReason.UPSTREAM_ERROR, 400, ProviderError(type="invalid_request_error", message="The prompt is too long")),
    (EndReason.UPSTREAM_STREAM_ERROR, 200, ProviderError(type="api_error", message="Internal server error")),
    (EndReason.UPSTREAM_TIMEOUT, None, ProviderError(type="upstream_timeout", message="The provider did not answer")),
)
_WORDS = (  # noqa: SIM905 - one line is read more easily than forty
    "why does the test of this module fail on the second run when the cache is warm and what would be the smallest "
    "change that makes it pass without a new dependency please look at the log first"
).split()
RARE_WORDS = 30_000
"""Different words in texts beside the common ones; the first are frequent, most come a few times in a million calls."""

_POOL = 400_000


class Zipf:
    """Draws from items; the first is the most frequent, each next one is less frequent."""

    def __init__(self, number: int, exponent: float = 1.0) -> None:
        self._indexes = range(number)
        self._weights = list(accumulate(1 / rank**exponent for rank in range(1, number + 1)))

    def draw(self, random: Random) -> int:
        """Draw the index of one."""
        return random.choices(self._indexes, cum_weights=self._weights)[0]


@dataclass(frozen=True)
class _Session:
    initiator_id: UUID
    provider: str
    model: str
    client: str
    client_session_id: str | None
    tags: dict[str, str]


class Population:
    """Makes the documents of ended interceptions of `users`, `calls` of them over the `DAYS` days before `until`."""

    def __init__(self, *, calls: int, users: Sequence[UUID], until: datetime, seed: int = 1) -> None:
        self._random = Random(seed)
        self._calls = calls
        self._until = until
        self._users = users
        self._user, self._model, self._client = Zipf(len(users)), Zipf(len(MODELS)), Zipf(len(CLIENTS))
        self._tool, self._project = Zipf(len(TOOLS)), Zipf(len(PROJECTS))
        self._pool = list(islice(self._words(), _POOL))
        self._habits = {user: self._habit() for user in users}

    def new_id(self, at: datetime) -> UUID:
        """Make an id of version 7 (RFC 9562 section 5.7): in order of time, like the ids of live records."""
        milliseconds = int(at.timestamp() * 1000)
        random = self._random.getrandbits(12) << 64 | self._random.getrandbits(62)
        return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | random)

    def days(self) -> Iterator[list[dict[str, Any]]]:
        """Make the documents of each day in turn, in the order of their start."""
        left = self._calls
        first = self._until - timedelta(days=DAYS)
        for day in range(DAYS):
            share = math.ceil(left / (DAYS - day))
            documents: list[dict[str, Any]] = []
            while len(documents) < share:
                start = first + timedelta(days=day, hours=self._random.triangular(0, 23, 13))
                documents += self._session(start)
            del documents[share:]
            documents.sort(key=lambda document: document["started_at"])
            left -= share
            yield documents

    def _habit(self) -> list[tuple[tuple[str, str], str]]:
        """Draw the models that one person uses as a rule, each with a client."""
        return [
            (MODELS[self._model.draw(self._random)], CLIENTS[self._client.draw(self._random)])
            for _ in range(USUAL_MODELS)
        ]

    def _session(self, start: datetime) -> Iterator[dict[str, Any]]:
        random = self._random
        user = self._users[self._user.draw(random)]
        is_usual = random.random() > UNUSUAL
        (provider, model), client = random.choice(self._habits[user] if is_usual else self._habit())
        session = _Session(
            initiator_id=user,
            provider=provider,
            model=model,
            client=client,
            client_session_id=None if client in _WITHOUT_SESSION else str(self.new_id(start)),
            tags={"project": PROJECTS[self._project.draw(random)]} if random.random() < TAGGED else {},
        )
        previous: dict[str, Any] | None = None
        for _ in range(1 + int(random.expovariate(1 / (CALLS_PER_SESSION - 1)))):
            document = self._call(session, min(start, self._until))
            if previous and "tool_call_ids" in previous and random.random() > NEW_THREAD:
                document["parent_id"] = previous["_id"]
                document["root_id"] = previous.get("root_id", previous["_id"])
            yield document
            previous = document
            start = document["ended_at"] + timedelta(milliseconds=random.randrange(200, 60_000))

    def _call(self, session: _Session, start: datetime) -> dict[str, Any]:
        random = self._random
        start = start.replace(microsecond=start.microsecond // 1000 * 1000)
        first_byte = start + timedelta(milliseconds=int(random.lognormvariate(6.5, 0.6)))
        end = first_byte + timedelta(milliseconds=int(random.lognormvariate(8.3, 1.0)))
        is_failed = random.random() < FAILED
        reason, status, error = random.choice(_FAILURES) if is_failed else (EndReason.COMPLETED, 200, None)
        interception = Interception(
            id=self.new_id(start),
            api_key_id=session.initiator_id.hex[-10:],  # a token for each user
            initiator_id=session.initiator_id,
            provider=session.provider,
            provider_name=session.provider,
            route=_ROUTES[session.provider],
            model=session.model,
            streaming=random.random() < 0.9,
            client=session.client,
            client_session_id=session.client_session_id,
            user_agent=f"{session.client.lower()}/2.1.0 (linux; x64)",
            credential_kind=CredentialKind.CENTRALIZED,
            credential_hint="sk-a...wxyz",
            started_at=start,
            tags=session.tags,
            user_prompt=UserPrompt(prompt=self._text(5, 60)),
        )
        ending = Ending(
            interception_id=interception.id,
            end_reason=reason,
            ended_at=end,
            upstream_asked_at=start + timedelta(milliseconds=3),
            first_byte_at=first_byte,
            upstream_status=status,
            upstream_request_id=f"req_{random.getrandbits(64):016x}",
            error=error,
            reading=self._reading(),
        )
        new_id = partial(self.new_id, start)
        cost = Cost(PRECISION * random.randrange(10**11), "made up", _RATES)
        start_fields = start_document(interception, instance_id=_NOBODY, new_id=new_id)
        ended = ending_fields(ending, new_id=new_id, cost=cost)
        return {**start_fields, **ended, "charged": charged(interception, ending, cost)}

    def _reading(self) -> Reading:
        random = self._random
        response_id = f"msg_{random.getrandbits(64):016x}"
        usage = TokenUsage(
            provider_response_id=response_id,
            input_tokens=random.randrange(4_000),
            output_tokens=random.randrange(2_000),
            cache_read_input_tokens=random.randrange(90_000),
            cache_write_input_tokens=random.randrange(3_000),
            usage={"service_tier": "standard"},
        )
        call = ToolUsage(
            provider_response_id=response_id,
            provider_tool_call_id=f"toolu_{random.getrandbits(64):016x}",
            tool=TOOLS[self._tool.draw(random)],
            input=f'{{"command": "{self._text(3, 20)}"}}',
        )
        return Reading(
            response_id=response_id,
            complete=True,
            token_usages=(usage,),
            tool_usages=(call,) if random.random() < CALLS_A_TOOL else (),
            model_thoughts=(ModelThought(content=self._text(10, 80), source="thinking"),)
            if random.random() < 0.3
            else (),
        )

    def _text(self, least: int, most: int) -> str:
        words = self._random.randint(least, most)
        begin = self._random.randrange(_POOL - most)
        return " ".join(self._pool[begin : begin + words])

    def _words(self) -> Iterator[str]:
        """Draw words without an end, three of ten of them rare ones."""
        rare, random = Zipf(RARE_WORDS), self._random
        while True:
            yield f"word{rare.draw(random)}" if random.random() < 0.3 else random.choice(_WORDS)
