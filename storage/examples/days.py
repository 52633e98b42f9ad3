"""What happens at the invented company in a day: sessions in office hours, jobs at night, refused calls. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final, NamedTuple

from intercept.refusals import Refusal, Rule
from storage.examples.kinds import ANTHROPIC_SDK, OPENAI_SDK, USES, Kind
from storage.examples.people import RESTRICTED, Company, Person
from storage.examples.sessions import FAILS, Call, Session

_WEEKEND: Final = 5
_MAKERS: Final = {"claude": "anthropic", "gemini": "gemini", "gpt": "openai"}
_TROUBLE_DAYS: Final = (9, 33)
"""Days, counted back from the last one, on whose afternoon a provider had trouble."""


class Refused(NamedTuple):
    """A refused request, and when."""

    at: datetime
    refusal: Refusal


def calls_of(company: Company, seed: int, day: date, until: datetime) -> list[Call]:
    """Make the calls of a day that have ended by a time, in the order of their starts. The same for the same arguments."""
    random = Random(f"{seed} {day}")
    calls = [
        call
        for person, kind, at, trouble in _sessions(random, company, day, until.date())
        for call in Session(random, person, kind, at, trouble).calls()
        if call.ending.ended_at <= until
    ]
    return sorted(calls, key=lambda call: (call.start.started_at, call.start.id))


def refusals_of(company: Company, seed: int, day: date, until: datetime) -> list[Refused]:
    """Make the refusals of a day by a time."""
    random = Random(f"{seed} {day} refused")
    refused = []
    for _ in range(random.randint(0, 7) if day.weekday() < _WEEKEND else 0):
        person = random.choice(company.people)
        at = _at(day, random.uniform(8, 18))
        rule, status, model, wait = random.choice(
            (
                (Rule.POLICY_RATE, 429, "gemini-2.5-pro", 12_000),
                (Rule.USER_CONCURRENCY, 429, "gpt-5-mini", 1_000),
                (Rule.POLICY_BUDGET, 429, "claude-opus-4-8", 86_400_000),
                (Rule.MODEL_NOT_ALLOWED, 403, RESTRICTED, None),
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
        refused += [Refused(at + timedelta(seconds=5 * again), refusal) for again in range(random.randint(1, 4))]
    return [one for one in refused if one.at <= until]


def _sessions(
    random: Random, company: Company, day: date, last: date
) -> Iterator[tuple[Person, Kind, datetime, float]]:
    """Who begins what, and when; the last is the share of calls that fail."""
    is_weekend = day.weekday() >= _WEEKEND
    has_trouble = (last - day).days in _TROUBLE_DAYS
    for person in company.people:
        if random.random() < (0.9 if is_weekend else 0.22):
            continue
        for _ in range(random.choice((1, 1, 2)) if is_weekend else random.choice((1, 2, 2, 3))):
            kind = random.choices([one for one, _ in USES[person.team]], [share for _, share in USES[person.team]])[0]
            hour = random.choice((random.gauss(10.3, 1.1), random.gauss(14.8, 1.5)))
            at = _at(day, min(max(hour, 7), 20))
            trouble = 0.5 if has_trouble and kind.provider == "anthropic" and at.hour in (14, 15) else FAILS
            if kind.tools:
                yield person, kind, at, trouble
            else:
                for _ in range(random.randint(3, 16)):
                    yield person, kind, at + timedelta(seconds=random.uniform(0, 2_400)), trouble
    nightly = next(one for one in company.people if one.team == "data"), OPENAI_SDK
    answering = next(one for one in company.people if one.team == "support"), ANTHROPIC_SDK
    for (person, kind), hour, number in ((nightly, 2.0, 25), (answering, 21.0, 8)):
        for _ in range(number):
            yield person, kind, _at(day, hour + random.uniform(0, 0.6)), FAILS


def _at(day: date, hour: float) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)
