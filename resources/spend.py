"""The cost of calls as CSV: in the bridge's own columns, and in those of FOCUS. Pure.

FOCUS is the FinOps Open Cost and Usage Specification; version 1.4, dataset "Cost and Usage", says what is in a column. A row is
a charge of the category `Usage`, a day long. No invoice says what calls cost, so the four costs are the same, and the
columns of invoices are left out. A row has tokens of several kinds, each with a price of its own: so there are no
columns of unit prices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from intercept.times import format_time
from resources.fields import Names, micro_dollars
from resources.ranges import Problems, range_of
from resources.recorded.export_formats import write_csv
from storage.derived.rollup import TOKENS, Bucket
from storage.queries.found import SPEND
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import AnswerRow
from storage.queries.questions.question import By, Dimension, Question

GONE: Final = "calls of before {:%Y-%m-%d} are not recorded any more; begin then, or group by user, provider, model and client alone"

GROUP_SEPARATOR: Final = ", "

SPEND_BY: Final[Mapping[str, Dimension]] = {
    "user": Dimension.USER,
    "group": Dimension.GROUPS,
    "token": Dimension.TOKEN,
    "provider": Dimension.PROVIDER,
    "model": Dimension.MODEL,
    "client": Dimension.CLIENT,
}
"""By what rows may be grouped. A call is in one row, so the groups of its user are one value together."""

_COUNTS: Final = SPEND[:-1]

Columns = Mapping[str, object]


@dataclass(frozen=True)
class SpendFormat:
    """A format of rows.

    Attributes:
        change: Adapts a question to the format.
        columns: Names the columns in their order, with what a row has in each.
    """

    change: Callable[[Question], Question]
    columns: Callable[[Question, AnswerRow, Names], Columns]

    def begin(self, question: Question) -> bytes:
        """Write the names of the columns."""
        return write_csv([self.columns(question, AnswerRow(question.start, ((),) * len(question.by), {}), Names())])

    def write(self, question: Question, rows: Iterable[AnswerRow], names: Names) -> bytes:
        """Write rows."""
        return write_csv(self.columns(question, row, names).values() for row in rows)


def values_of(question: Question, rows: Iterable[AnswerRow]) -> Mapping[Dimension, set[Any]]:
    """Return the values in rows by dimension, of which names are looked up."""
    found: defaultdict[Dimension, set[Any]] = defaultdict(set)
    for row in rows:
        for one, value in zip(question.by, row.key, strict=True):
            if value:
                found[one.dimension].add(value)
    return found


def spend_days(
    first: datetime | None, last: datetime | None, problems: Problems, now: datetime
) -> tuple[datetime, datetime]:
    """Return whole days; without `first` and `last` from the first of this month to today."""
    start, end = range_of(first, last, problems, now=now, usual=lambda _: Bucket.DAY.floor(now.replace(day=1)))
    return Bucket.DAY.floor(start), Bucket.DAY.ceiling(end)


_COLUMNS: Mapping[Dimension, tuple[str, ...]] = {
    Dimension.USER: ("user_id", "username", "user_name"),
    Dimension.GROUPS: ("group_ids", "groups"),
    Dimension.TOKEN: ("token_id", "token_name"),
    Dimension.PROVIDER: ("provider_name",),
    Dimension.MODEL: ("model",),
    Dimension.CLIENT: ("client",),
}
_RENAMED: Final = {"interceptions": "calls", "unpriced": "unpriced_calls"}


def _plain(question: Question, row: AnswerRow, names: Names) -> Columns:
    start, end = _period(question, row.at)
    columns: dict[str, object] = {"period_start": f"{start:%Y-%m-%d}", "period_end": f"{end:%Y-%m-%d}"}
    for one, value in zip(question.by, row.key, strict=True):
        columns |= zip(_COLUMNS[one.dimension], _named(one, value, names), strict=True)
    columns |= {_RENAMED.get(name, name): row.totals.get(name, 0) for name in _COUNTS}
    usd = Decimal(row.totals.get("cost", 0))
    return columns | {"cost_micro_usd": micro_dollars(usd), "cost_usd": f"{usd:f}"}


def _named(by: By, value: Any, names: Names) -> Iterator[object]:
    yield " ".join(map(str, value)) if by.dimension is Dimension.GROUPS else value
    match by.dimension:
        case Dimension.USER:
            user = names.users.get(value)
            yield from (user.username, user.name) if user else ("", "")
        case Dimension.GROUPS:
            yield _group_names(names, value)
        case Dimension.TOKEN:
            token = names.tokens.get(value)
            yield token.name if token else ""


def _group_names(names: Names, ids: Iterable[UUID]) -> str:
    """The names of groups, and the ids of those that have none."""
    known = names.groups
    return GROUP_SEPARATOR.join(sorted(known[id_].name if id_ in known else str(id_) for id_ in ids))


def _period(question: Question, at: datetime) -> tuple[datetime, datetime]:
    """The days of a row within the requested range."""
    end = at + timedelta(days=1) if question.period is Period.DAY else _next_month(at)
    return max(at, question.start), min(end, question.end)


def _next_month(at: datetime) -> datetime:
    return (at.replace(day=1) + timedelta(days=31)).replace(day=1)


_FOCUS_NEEDS: Final = (By(Dimension.USER), By(Dimension.PROVIDER), By(Dimension.MODEL))


def _focus_question(question: Question) -> Question:
    """A charge has one day, user, model and provider."""
    more = tuple(one for one in question.by if one not in _FOCUS_NEEDS)
    return replace(question, by=_FOCUS_NEEDS + more, period=Period.DAY)


def _focus(question: Question, row: AnswerRow, names: Names) -> Columns:
    start, end = _period(question, row.at)
    month = row.at.replace(day=1)
    user_id, provider, model, *_ = row.key
    user = names.users.get(user_id)
    get = row.totals.get
    tokens = sum(get(name, 0) for name in TOKENS)
    usd = f"{Decimal(get('cost', 0)):f}"
    return {
        "BilledCost": usd,
        "BillingAccountId": "aibridge",
        "BillingAccountName": "AI Bridge",
        "BillingAccountType": "Gateway",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _focus_time(_next_month(row.at)),
        "BillingPeriodStart": _focus_time(month),
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"Tokens of {model} by {provider}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _focus_time(end),
        "ChargePeriodStart": _focus_time(start),
        "ConsumedQuantity": tokens,
        "ConsumedUnit": "Tokens",
        "ContractedCost": usd,
        "EffectiveCost": usd,
        "HostProviderName": provider,  # as of one that does not say where it runs
        "InvoiceIssuerName": provider,
        "ListCost": usd,
        "PricingCategory": "Standard",
        "PricingQuantity": tokens,
        "PricingUnit": "Tokens",
        "ResourceId": model,
        "ResourceName": model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{provider} models",
        "ServiceProviderName": provider,
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": str(user_id),
        "SubAccountName": user.username if user else "",
        "SubAccountType": "User",
        "Tags": _tags(question, row, names),
        "x_Calls": get("interceptions", 0),
        "x_UnpricedCalls": get("unpriced", 0),
        "x_InputTokens": get("input_tokens", 0),
        "x_OutputTokens": get("output_tokens", 0),
        "x_CacheReadInputTokens": get("cache_read_input_tokens", 0),
        "x_CacheWriteInputTokens": get("cache_write_input_tokens", 0),
    }


def _tags(question: Question, row: AnswerRow, names: Names) -> str:
    values = {one.dimension: value for one, value in zip(question.by, row.key, strict=True)}
    tags: dict[str, str] = {}
    for name in ("group", "token", "client"):
        if (one := SPEND_BY[name]) in values:
            tags[name] = _group_names(names, values[one]) if one is Dimension.GROUPS else str(values[one] or "")
    return msgspec.json.encode(tags).decode()


def _focus_time(time: datetime) -> str:
    return format_time(time)[:19] + "Z"


SPEND_FORMATS: Mapping[str, SpendFormat] = {
    "csv": SpendFormat(lambda question: question, _plain),
    "focus": SpendFormat(_focus_question, _focus),
}
"""The formats by name, the default first."""
