"""What happens at the demo company in a day: sessions in office hours, jobs at night, refused calls. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final, NamedTuple

from intercept.refusals import Refusal, Rule
from storage.demo.company import Company, Kind
from storage.demo.sessions import FAILS, InventedCall, InventedPerson, InventedSession

_WEEKEND: Final = 5
_MAKERS: Final = {"claude": "anthropic", "gemini": "gemini", "gpt": "openai"}
_TROUBLE_DAYS: Final = (9, 33)
"""Days, counted back from the last one, on whose afternoon a provider had trouble."""


class InventedRefusal(NamedTuple):
    """A refused request, and when."""

    at: datetime
    refusal: Refusal


def calls_of(
    company: Company, people: Sequence[InventedPerson], random: Random, day: date, until: datetime
) -> list[InventedCall]:
    """Make the calls of a day that have ended by a time, in the order of their starts."""
    calls = [
        call
        for person, kind, at, trouble in _sessions(company, people, random, day, until.date())
        for call in InventedSession(company, random, person, kind, at, trouble=trouble).calls()
        if call.ending.ended_at <= until
    ]
    return sorted(calls, key=lambda call: (call.start.started_at, call.start.id))


def refusals_of(
    company: Company, people: Sequence[InventedPerson], random: Random, day: date, until: datetime
) -> Iterator[InventedRefusal]:
    """Make the refusals of a day by a time."""
    for _ in range(random.randint(0, 7) if day.weekday() < _WEEKEND else 0):
        person, at = random.choice(people), _at(day, random.uniform(8, 18))
        rule, status, model, wait = random.choice(
            (
                (Rule.POLICY_RATE, 429, "gemini-2.5-pro", 12_000),
                (Rule.USER_CONCURRENCY, 429, "gpt-5-mini", 1_000),
                (Rule.POLICY_BUDGET, 403, company.restricted, None),
                (Rule.MODEL_NOT_ALLOWED, 403, company.restricted, None),
            )
        )
        refusal = Refusal(
            rule=rule,
            status=status,
            initiator_id=person.id,
            api_key_id=person.token_id,
            provider=_MAKERS[model.partition("-")[0]],
            route="/v1/messages" if model.startswith("claude") else "/v1/chat/completions",
            model=model,
            retry_after_ms=wait,
        )
        for again in range(random.randint(1, 4)):
            if (repeated := at + timedelta(seconds=5 * again)) <= until:
                yield InventedRefusal(repeated, refusal)


def _sessions(
    company: Company, people: Sequence[InventedPerson], random: Random, day: date, last: date
) -> Iterator[tuple[InventedPerson, Kind, datetime, float]]:
    """Who begins what, and when; the last is the share of calls that fail."""
    is_weekend = day.weekday() >= _WEEKEND
    has_trouble = (last - day).days in _TROUBLE_DAYS
    for person in people:
        if random.random() < (0.9 if is_weekend else 0.22):
            continue
        uses = company.teams[person.team].uses
        for _ in range(random.choice((1, 1, 2)) if is_weekend else random.choice((1, 2, 2, 3))):
            kind = company.kinds[random.choices(list(uses), list(uses.values()))[0]]
            hour = random.choice((random.gauss(10.3, 1.1), random.gauss(14.8, 1.5)))
            at = _at(day, min(max(hour, 7), 20))
            trouble = 0.5 if has_trouble and kind.provider == "anthropic" and at.hour in (14, 15) else FAILS
            if kind.tools:
                yield person, kind, at, trouble
            else:
                for _ in range(random.randint(3, 16)):
                    yield person, kind, at + timedelta(seconds=random.uniform(0, 2_400)), trouble
    for team, name, hour, number in (("data", "openai_sdk", 2.0, 25), ("support", "anthropic_sdk", 21.0, 8)):
        person = next(one for one in people if one.team == team)
        for _ in range(number):
            yield person, company.kinds[name], _at(day, hour + random.uniform(0, 0.6)), FAILS


def _at(day: date, hour: float) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)
