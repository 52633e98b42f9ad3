"""The cost of calls as CSV: in the bridge's own columns, and in those of FOCUS. Pure.

FOCUS is the FinOps Open Cost and Usage Specification; version 1.4, dataset "Cost and Usage", says what is in a column. A row is
a charge of the category `Usage`, a day long. No invoice says what calls cost, so the four costs are the same, and the
columns of invoices are left out. A row has tokens of several kinds, each with a price of its own: so there are no
columns of unit prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import msgspec

from intercept.times import format_time
from resources.names import Names
from resources.ranges import Problems, range_of
from resources.recorded.export_formats import write_csv
from storage.derived.rollup import TOKENS, Bucket
from storage.queries.filters.grouped.spending import COUNTS, Dimension, Span, SpendQuery, SpendRow
from storage.queries.filters.time_ranges import ceiling

GONE: Final = "calls of before {:%Y-%m-%d} are not recorded any more; begin then, or group by user, provider, model and client alone"

GROUP_SEPARATOR: Final = ", "


Cells = Sequence[object]


@dataclass(frozen=True)
class SpendFormat:
    """A format of rows.

    Attributes:
        change: Adapts a query to the format.
        head: The names of the columns.
        cells: Their values.
    """

    change: Callable[[SpendQuery], SpendQuery]
    head: Callable[[SpendQuery], Cells]
    cells: Callable[[SpendQuery, SpendRow, Names], Cells]

    def begin(self, query: SpendQuery) -> bytes:
        """Write the names of the columns."""
        return write_csv([self.head(query)])

    def write(self, query: SpendQuery, rows: Iterable[SpendRow], names: Names) -> bytes:
        """Write rows."""
        return write_csv(self.cells(query, row, names) for row in rows)


def spend_days(
    first: datetime | None, last: datetime | None, problems: Problems, now: datetime
) -> tuple[datetime, datetime]:
    """Return whole days; without `first` and `last` from the first of this month to today."""
    start, end = range_of(first, last, problems, now=now, usual=lambda _: Bucket.DAY.floor(now.replace(day=1)))
    return Bucket.DAY.floor(start), ceiling(Bucket.DAY, end)


_COLUMNS: Mapping[Dimension, tuple[str, ...]] = MappingProxyType(
    {
        Dimension.USER: ("user_id", "username", "user_name", "cost_centre"),
        Dimension.GROUP: ("group_ids", "groups"),
        Dimension.TOKEN: ("token_id", "token_name"),
        Dimension.PROVIDER: ("provider_name",),
        Dimension.MODEL: ("model",),
        Dimension.CLIENT: ("client",),
    }
)
_FIGURES: Final = (*COUNTS, "cost_micro_usd", "cost_usd")
_RENAMED: Final = MappingProxyType({"interceptions": "calls", "unpriced": "unpriced_calls"})


def _plain_head(query: SpendQuery) -> Cells:
    named = [name for one in query.group_by for name in _COLUMNS[one]]
    return ["period_start", "period_end", *named, *(_RENAMED.get(name, name) for name in _FIGURES)]


def _plain_cells(query: SpendQuery, row: SpendRow, names: Names) -> Cells:
    start, end = _period(query, row.at)
    named = [cell for one in query.group_by for cell in _named(one, row.values[one], names)]
    figures = [row.counts[name] for name in COUNTS]
    return [f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}", *named, *figures, row.micro_dollars, f"{row.usd:f}"]


def _named(dimension: Dimension, value: Any, names: Names) -> Iterator[object]:
    yield " ".join(map(str, value)) if dimension is Dimension.GROUP else value
    match dimension:
        case Dimension.USER:
            user = names.users.get(value)
            yield from (user.username, user.display_name, user.cost_centre) if user else ("", "", "")
        case Dimension.GROUP:
            yield _group_names(names, value)
        case Dimension.TOKEN:
            token = names.tokens.get(value)
            yield token.name if token else ""


def _group_names(names: Names, ids: Iterable[UUID]) -> str:
    """The names of groups, and the ids of those that have none."""
    known = names.groups
    return GROUP_SEPARATOR.join(sorted(known[id_].name if id_ in known else str(id_) for id_ in ids))


def _period(query: SpendQuery, at: datetime) -> tuple[datetime, datetime]:
    """The days of a row within the requested range."""
    end = at + timedelta(days=1) if query.span is Span.DAY else _next_month(at)
    return max(at, query.start), min(end, query.end)


def _next_month(at: datetime) -> datetime:
    return (at.replace(day=1) + timedelta(days=31)).replace(day=1)


_FOCUS_COLUMNS: Final = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription"),
    *("ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit"),
    *("ContractedCost", "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost"),
    *("PricingCategory", "PricingQuantity", "PricingUnit", "ResourceId", "ResourceName", "ResourceType"),
    *("ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory"),
    *("SubAccountId", "SubAccountName", "SubAccountType"),
    *("Tags", "x_Calls", "x_UnpricedCalls", "x_InputTokens", "x_OutputTokens"),
    *("x_CacheReadInputTokens", "x_CacheWriteInputTokens"),
)
_FOCUS_NEEDS: Final = (Dimension.USER, Dimension.PROVIDER, Dimension.MODEL)


def _focus_query(query: SpendQuery) -> SpendQuery:
    """A charge has one day, user, model and provider."""
    more = tuple(one for one in query.group_by if one not in _FOCUS_NEEDS)
    return SpendQuery(query.start, query.end, _FOCUS_NEEDS + more, Span.DAY, query.visible_to)


def _focus_cells(query: SpendQuery, row: SpendRow, names: Names) -> Cells:
    start, end = _period(query, row.at)
    month = row.at.replace(day=1)
    provider, model, user_id = (row.values[one] for one in (Dimension.PROVIDER, Dimension.MODEL, Dimension.USER))
    user = names.users.get(user_id)
    tokens = sum(row.counts[name] for name in TOKENS)
    usd = f"{row.usd:f}"
    values = {
        "BilledCost": usd,
        "BillingAccountId": "aibridge",
        "BillingAccountName": "AI Bridge",
        "BillingAccountType": "Gateway",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _focus_time(_next_month(row.at)),
        "BillingPeriodStart": _focus_time(month),
        "ChargeCategory": "Usage",
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
        "Tags": _tags(row, names),
        "x_Calls": row.counts["interceptions"],
        "x_UnpricedCalls": row.counts["unpriced"],
        "x_InputTokens": row.counts["input_tokens"],
        "x_OutputTokens": row.counts["output_tokens"],
        "x_CacheReadInputTokens": row.counts["cache_read_input_tokens"],
        "x_CacheWriteInputTokens": row.counts["cache_write_input_tokens"],
    }
    return [values.get(name, "") for name in _FOCUS_COLUMNS]


def _tags(row: SpendRow, names: Names) -> str:
    tags: dict[str, str] = {}
    user = names.users.get(row.values[Dimension.USER])
    if user and user.cost_centre:
        tags["cost_centre"] = user.cost_centre
    for one in (Dimension.GROUP, Dimension.TOKEN, Dimension.CLIENT):
        if one in row.values:
            value = row.values[one]
            tags[one.value] = _group_names(names, value) if one is Dimension.GROUP else str(value or "")
    return msgspec.json.encode(tags).decode()


def _focus_time(time: datetime) -> str:
    return format_time(time)[:19] + "Z"


SPEND_FORMATS: Mapping[str, SpendFormat] = MappingProxyType(
    {
        "csv": SpendFormat(lambda query: query, _plain_head, _plain_cells),
        "focus": SpendFormat(_focus_query, lambda _: _FOCUS_COLUMNS, _focus_cells),
    }
)
"""The formats by name, the default first."""
