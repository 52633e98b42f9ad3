"""What happens at the demo company in a day: sessions in office hours, jobs at night, refused calls. Pure.

A session is calls one after the other, each with the call whose tools it answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import structs

from intercept.blocks import Blocks
from intercept.callers import SessionAgent
from intercept.records import (
    CredentialKind,
    Ending,
    EndReason,
    ModelThought,
    ProviderError,
    Reading,
    StartRecord,
    TokenUsage,
    ToolResult,
    ToolUsage,
    UserPrompt,
)
from intercept.refusals import Refusal, Rule
from storage.accounts.users import milliseconds
from storage.demo.company import BUDGETED_TEAM, DELEGATE, LIMITED_TEAM, RESTRICTED_TEAM, Company, SessionKind

FAILS: Final = 0.018
"""The share of calls that fail at first."""

BREAKS: Final = 0.03
"""The share of calls whose beginning is another one than before, so that the prompt cache is of no use."""

DELEGATES: Final = 0.25
"""How often another agent is started, against each other tool."""

_LIFETIME: Final = timedelta(minutes=5)


class InventedPerson(NamedTuple):
    """Somebody who calls."""

    id: UUID
    team: str
    group_id: UUID
    token_id: str


class InventedCall(NamedTuple):
    """A call.

    Attributes:
        root: The first call of its thread, if it is another one.
        parent_id: The call whose tools it has the results of.
    """

    start: StartRecord
    ending: Ending
    root: UUID | None
    parent_id: UUID | None


class _Said(NamedTuple):
    """What is new in a request: a prompt, or the results of tools. A retry says the same."""

    prompt: UserPrompt | None
    results: tuple[ToolResult, ...]


class InventedSession:
    """A session, made call by call.

    `name` is of the session, where the client says it and another agent has begun it.
    """

    def __init__(
        self,
        company: Company,
        random: Random,
        person: InventedPerson,
        kind: SessionKind,
        at: datetime,
        *,
        name: str | None = None,
        agent: SessionAgent = SessionAgent(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._company, self._random, self._person, self._kind, self._at = company, random, person, kind, at
        self._agent = agent
        self._name = name or (str(new_id(random)) if kind.tools else None)
        self._uses = company.tools_of(kind)
        self._model = random.choices(list(kind.models), list(kind.models.values()))[0]
        self._tools = self._new_blocks(random.randint(12, 22) if kind.tools else 0)
        self._system = self._new_blocks(2)
        self._messages: tuple[bytes, ...] = ()
        self._context = random.randint(9_000, 19_000) if kind.tools else random.randint(300, 4_000)
        self._cached, self._cached_at = 0, at
        self._root: UUID | None = None
        self._pending: tuple[UUID, tuple[ToolUsage, ...]] | None = None
        self._is_first = True

    def calls(self) -> Iterator[InventedCall]:
        """Make the calls, in the order of their starts."""
        usual, most = self._kind.steps
        steps = min(most, max(1, round(self._random.lognormvariate(0, 0.6) * usual)))
        for step in range(steps):
            yield from self._step(is_last=step == steps - 1)

    def _step(self, *, is_last: bool) -> Iterator[InventedCall]:
        random = self._random
        typed = self._pending is None
        added = random.randint(20, 400) if typed else random.randint(100, 2_600)
        self._messages += self._new_blocks(1)
        is_broken = self._cached > 0 and self._break()
        said = _Said(UserPrompt(prompt=self._prompt()), ()) if typed else _Said(None, tuple(self._results()))
        attempt = 0
        while random.random() < FAILS and attempt < 3:
            yield self._failed(said, attempt)
            attempt += 1
            self._at += timedelta(seconds=random.uniform(0.6, 2.5) * 2**attempt)
        yield self._completed(said, added, attempt, is_broken=is_broken, is_last=is_last)
        self._is_first = False
        yield from self._delegated()

    def _delegated(self) -> Iterator[InventedCall]:
        """What other agents do that were just started, side by side; this one goes on when they have ended."""
        random = self._random
        given = [one.input for one in self._pending[1] if one.tool == DELEGATE] if self._pending else []
        types = {text: name for name, text in self._company.agents.items()}
        calls: list[InventedCall] = []
        for text in given:
            hints = {"request_class": "subagent", "agent_type": types[text]}
            agent = SessionAgent(id=f"{random.getrandbits(32):08x}", hints=hints)
            begun = self._company, random, self._person, self._kind.of_agent, self._at
            calls += InventedSession(*begun, name=self._name, agent=agent).calls()
        if calls:
            self._at = max(call.ending.ended_at for call in calls) + timedelta(seconds=random.uniform(0.1, 0.5))
            yield from sorted(calls, key=lambda call: call.start.started_at)

    def _prompt(self) -> str:
        if not self._kind.tools:
            return self._random.choice(self._company.questions)
        return self._random.choice(self._company.prompts if self._is_first else self._company.follow_ups)

    def _results(self) -> Iterator[ToolResult]:
        random = self._random
        for one in self._pending[1] if self._pending else ():
            size = int(random.lognormvariate(7, 1.3))
            yield ToolResult(id=one.provider_tool_call_id, bytes=size, is_error=random.random() < 0.06)

    def _break(self) -> bool:
        """Whether the beginning of the request changes now, or was forgotten."""
        random = self._random
        if self._at - self._cached_at > _LIFETIME:
            return True
        if random.random() >= BREAKS:
            return False
        match random.choice(("system", "system", "tools", "messages", "evicted")):
            case "system":  # a clock in the system prompt
                self._system = (*self._system[:-1], *self._new_blocks(1))
            case "tools":
                self._tools = tuple(random.sample(self._tools, len(self._tools)))
            case "messages":  # a compaction
                self._messages = (*self._new_blocks(1), *self._messages[-2:])
                self._context = max(9_000, self._context // 3)
        return True

    def _start(self, said: _Said, attempt: int) -> StartRecord:
        random, person, kind = self._random, self._person, self._kind
        tags = {"project": self._company.teams[person.team].project}
        if not kind.tools:
            tags["env"] = "production" if person.team == "support" else "ci"
        return StartRecord(
            id=new_id(random),
            api_key_id=person.token_id,
            initiator_id=person.id,
            provider=kind.provider,
            provider_name=kind.provider,
            route=kind.route,
            model=self._model,
            streaming=bool(kind.tools),
            client=kind.client,
            client_session_id=self._name,
            user_agent=kind.user_agent,
            credential_kind=CredentialKind.CENTRALIZED,
            credential_hint="",
            started_at=milliseconds(self._at),
            agent=self._agent,
            user_prompt=said.prompt,
            answered_tool_call_id=said.results[-1].id if said.results else None,
            group_ids=(person.group_id,),
            blocks=Blocks(self._tools, self._system, self._messages).pack(),
            tool_results=said.results,
            retry_count=attempt,
            tags=tags,
        )

    def _failed(self, said: _Said, attempt: int) -> InventedCall:
        random = self._random
        start = self._start(said, attempt)
        sent_at = self._at + timedelta(milliseconds=random.uniform(3, 25))
        failure = random.choice(self._company.failures[self._kind.provider])
        error = ProviderError(type=failure.type, message=failure.message)
        ended = sent_at + timedelta(seconds=random.uniform(0.15, 1.4))
        self._at = ended
        return self._ended(start, EndReason.UPSTREAM_ERROR, failure.status, (sent_at, ended, ended), error=error)

    def _completed(self, said: _Said, added: int, attempt: int, *, is_broken: bool, is_last: bool) -> InventedCall:
        random, kind = self._random, self._kind
        start = self._start(said, attempt)
        sent_at = self._at + timedelta(milliseconds=random.lognormvariate(1.9, 0.6))
        first = sent_at + timedelta(seconds=random.lognormvariate(0.1, 0.55))
        output = int(random.lognormvariate(5.6 if kind.tools else 5.0, 0.8)) + 5
        ended = first + timedelta(seconds=output / random.uniform(45, 95))
        response = f"{'msg' if kind.provider == 'anthropic' else 'resp'}_{start.id.hex[-20:]}"
        self._context += added
        usage = self._usage(response, output, 0 if is_broken else self._cached)
        left = random.random() < 0.012
        reason = EndReason.CLIENT_DISCONNECTED if left else EndReason.COMPLETED
        usages = () if is_last or not kind.tools or left else self._tool_usages(response)
        thoughts: tuple[ModelThought, ...] = ()
        if kind.thinks and random.random() < 0.3:
            thoughts = (ModelThought(content=random.choice(self._company.thoughts), source=kind.thinks),)
        self._context += output
        reading = Reading(
            response_id=response,
            complete=not left,
            token_usages=(usage,),
            tool_usages=usages,
            model_thoughts=thoughts,
        )
        call = self._ended(start, reason, 200, (sent_at, first, ended), reading=reading)
        self._cached_at = self._at
        self._pending = (start.id, usages) if usages else None
        if usages:
            if call.root is None:
                self._root = start.id
            self._at = ended + timedelta(seconds=random.lognormvariate(0.7, 1.0))
        else:
            self._root = None
            self._at = ended + timedelta(seconds=random.lognormvariate(4.3, 0.9))
        self._messages += self._new_blocks(1)
        return call

    def _ended(
        self,
        start: StartRecord,
        reason: EndReason,
        status: int,
        times: tuple[datetime, datetime, datetime],
        **more: Any,
    ) -> InventedCall:
        """The call that ended so; the times are when the provider was asked, of the first byte, and of the end."""
        sent_at, first_byte_at, ended_at = map(milliseconds, times)
        ending = Ending(
            interception_id=start.id,
            end_reason=reason,
            ended_at=ended_at,
            upstream_asked_at=sent_at,
            first_byte_at=first_byte_at,
            upstream_status=status,
            upstream_request_id=f"req_{start.id.hex[-16:]}",
            **more,
        )
        return InventedCall(start, ending, *((None, None) if self._pending is None else (self._root, self._pending[0])))

    def _usage(self, response: str, output: int, cached: int) -> TokenUsage:
        prompt = self._context
        if self._kind.writes_cache and self._kind.tools:
            fresh = self._random.randint(3, 60)
            self._cached = prompt - fresh
            counts = fresh, cached, max(self._cached - cached, 0)
        elif self._kind.tools:
            read = cached // 128 * 128
            self._cached = prompt
            counts = prompt - read, read, 0
        else:
            counts = prompt, 0, 0
        return TokenUsage(
            provider_response_id=response,
            input_tokens=counts[0],
            output_tokens=output,
            cache_read_input_tokens=counts[1],
            cache_write_input_tokens=counts[2],
        )

    def _tool_usages(self, response: str) -> tuple[ToolUsage, ...]:
        random = self._random
        weights = [DELEGATES if name == DELEGATE else 1 for name in self._uses]
        names = random.choices(list(self._uses), weights, k=1 if random.random() < 0.85 else 2)
        return tuple(
            ToolUsage(
                provider_response_id=response,
                provider_tool_call_id=f"call_{random.getrandbits(64):016x}",
                tool=name,
                input=random.choice(self._uses[name]),
            )
            for name in names
        )

    def _new_blocks(self, number: int) -> tuple[bytes, ...]:
        return tuple(self._random.randbytes(4) + self._random.randint(200, 4_000).to_bytes(4) for _ in range(number))


def new_id(random: Random) -> UUID:
    """Make an id."""
    return UUID(int=random.getrandbits(128), version=4)


_WEEKEND: Final = 5
_MAKERS: Final = {"claude": "anthropic", "gemini": "gemini", "gpt": "openai"}


def calls_of(
    company: Company, people: Sequence[InventedPerson], random: Random, day: date, until: datetime
) -> list[InventedCall]:
    """Make the calls of a day that have ended by a time, in the order of their starts."""
    calls = [
        call
        for person, kind, at in _sessions(company, people, random, day)
        for call in InventedSession(company, random, person, kind, at).calls()
        if call.ending.ended_at <= until
    ]
    return sorted(calls, key=lambda call: (call.start.started_at, call.start.id))


def refusals_of(
    company: Company, people: Sequence[InventedPerson], random: Random, day: date, until: datetime
) -> Iterator[tuple[datetime, Refusal]]:
    """Make the refusals of a day by a time, each with its own."""
    for _ in range(random.randint(0, 7) if day.weekday() < _WEEKEND else 0):
        at = _at(day, random.uniform(8, 18))
        rule, status, model, wait, team = random.choice(
            (
                (Rule.POLICY_RATE, 429, "gemini-2.5-pro", 12_000, LIMITED_TEAM),
                (Rule.USER_CONCURRENCY, 429, "gpt-5-mini", 1_000, ""),
                (Rule.POLICY_BUDGET, 403, company.restricted, None, BUDGETED_TEAM),
                (Rule.MODEL_NOT_ALLOWED, 403, company.restricted, None, RESTRICTED_TEAM),
            )
        )
        person = random.choice([one for one in people if team in ("", one.team)])
        refusal = Refusal(
            rule=rule,
            status=status,
            initiator_id=person.id,
            api_key_id=person.token_id,
            provider=_MAKERS[model.partition("-")[0]],
            route="/v1/messages" if model.startswith("claude") else "/v1/chat/completions",
            model=model,
            retry_after_ms=wait,
            policy=f"group {team}" if team else None,
        )
        for again in range(random.randint(1, 4)):
            if (repeated := at + timedelta(seconds=5 * again)) <= until:
                yield repeated, structs.replace(refusal, request_id=new_id(random))


def _sessions(
    company: Company, people: Sequence[InventedPerson], random: Random, day: date
) -> Iterator[tuple[InventedPerson, SessionKind, datetime]]:
    """Who begins what, and when."""
    is_weekend = day.weekday() >= _WEEKEND
    for person in people:
        if random.random() < (0.9 if is_weekend else 0.22):
            continue
        uses = company.teams[person.team].uses
        for _ in range(random.choice((1, 1, 2)) if is_weekend else random.choice((1, 2, 2, 3))):
            kind = company.kinds[random.choices(list(uses), list(uses.values()))[0]]
            hour = random.choice((random.gauss(10.3, 1.1), random.gauss(14.8, 1.5)))
            at = _at(day, min(max(hour, 7), 20))
            if kind.tools:
                yield person, kind, at
            else:
                for _ in range(random.randint(3, 16)):
                    yield person, kind, at + timedelta(seconds=random.uniform(0, 2_400))
    for team, name, hour, number in (("data", "openai_sdk", 2.0, 25), ("support", "anthropic_sdk", 21.0, 8)):
        person = next(one for one in people if one.team == team)
        for _ in range(number):
            yield person, company.kinds[name], _at(day, hour + random.uniform(0, 0.6))


def _at(day: date, hour: float) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)
