"""Reads what OpenAI and Anthropic report of usage and costs, by days in UTC, page by page. An admin key reads them.

Sources: OpenAI API reference, "Usage" (`/v1/organization/usage/completions`, `/embeddings`) and "Costs"
(`/v1/organization/costs`): usage by model, and costs by line item. Claude API reference, "Usage and Cost API"
(`/v1/organizations/usage_report/messages` and `/cost_report`): tokens and costs by day, model and tier; amounts are cents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct, field

from intercept.secrets import KnownSecrets, scrub_quoted
from upstream.client import UpstreamClient, UpstreamError
from upstream.connections.network import DIRECT, Network
from upstream.headers import Headers
from upstream.reports.reported import NO_MODEL, STANDARD, Reported, ReportedTokens, ReportError

PAGE_SECONDS: Final = 60.0
"""How long a page may take."""

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
MAX_PAGES: Final = 2_000
_MAX_MESSAGE: Final = 300
_OK: Final = 200

T = TypeVar("T")
Query = Sequence[tuple[str, str]]


class ReportPage(Struct, Generic[T]):
    """A page of a report: `next_page` is the cursor of the next one, if there is one."""

    data: list[T]
    has_more: bool = False
    next_page: str | None = None


class _ReportError(Struct):
    message: str = ""


class _ErrorBody(Struct):
    error: _ReportError = msgspec.field(default_factory=_ReportError)


class ReportPages:
    """Asks one provider for its reports.

    Args:
        base_url: Of the provider, with or without a `/v1` at its end.
        headers: With the key.
        key_setting: The name of the setting that the key is from.
        network: The way there.
    """

    def __init__(
        self, client: UpstreamClient, base_url: str, headers: Headers, key_setting: str, network: Network = DIRECT
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._headers: Headers = [("Accept", "application/json"), ("User-Agent", "aibridge"), *headers]
        self._secrets = KnownSecrets(value.removeprefix("Bearer ") for _, value in headers)
        self._key_setting = key_setting
        self._network = network
        self._host = urlsplit(base_url).netloc

    async def read(self, path: str, query: Query, kind: type[T]) -> list[T]:
        """Read what is on all pages.

        Args:
            path: Below the base URL, as `v1/organization/costs`.
            query: Names and values; a name may occur several times.
            kind: What a page has several of.

        Raises:
            ReportError: The provider refuses, is not reached, or answers something else.
        """
        found: list[T] = []
        cursors: set[str] = set()
        cursor = ""
        while True:
            page = await self._page(path, [*query, ("page", cursor)] if cursor else query, kind)
            found += page.data
            cursor = page.next_page or ""
            if not page.has_more or not cursor:
                return found
            if cursor in cursors or len(cursors) >= MAX_PAGES:
                raise ReportError(f"{self._host}: the pages of {path} do not end")
            cursors.add(cursor)

    async def _page(self, path: str, query: Query, kind: type[T]) -> ReportPage[T]:
        url = f"{self._base_url}/{path}?{urlencode(query, quote_via=quote, safe='[]:')}"
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                opened = await self._client.open("GET", url, self._headers, b"", network=self._network)
                with closing(opened) as response:
                    body = await response.peek(MAX_PAGE_BYTES)
                    is_whole = len(body) < MAX_PAGE_BYTES and await response.stream_to(lambda _: True)
        except UpstreamError as error:
            raise ReportError(f"{self._host}: {error}") from error
        except TimeoutError as error:
            raise ReportError(f"{self._host}: no whole answer within {PAGE_SECONDS:.0f} s") from error
        if response.status != _OK:
            raise self._refused(path, response.status, response.header("Retry-After"), body)
        if not is_whole:
            raise ReportError(f"{self._host}: a page of {path} has more than {MAX_PAGE_BYTES} bytes")
        try:
            return msgspec.json.decode(body, type=ReportPage[kind])  # type: ignore[valid-type]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ReportError(f"{self._host}: {path} has not the form of a report: {error}") from None

    def _refused(self, path: str, status: int, retry_after: str, body: bytes) -> ReportError:
        where = f"{self._host} answers {status} to /{path}"
        match status:
            case 401:
                return ReportError(f"{where}: it does not know the key; give an admin key in {self._key_setting}")
            case 403:
                return ReportError(
                    f"{where}: the key may not read reports; give one that may in {self._key_setting}, an admin key"
                )
            case 404:
                return ReportError(f"{where}: it has no such report; check the URL")
            case 429:
                seconds = retry_after[:9] if retry_after[:9].isdecimal() else ""
                return ReportError(f"{where}: too many requests; try again {f'in {seconds} s' if seconds else 'later'}")
        return ReportError(f"{where}{self._error_message(body)}")

    def _error_message(self, body: bytes) -> str:
        """The provider's message, without anything that looks like a credential."""
        try:
            message = msgspec.json.decode(body, type=_ErrorBody).error.message
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        text = scrub_quoted(self._secrets.hide(" ".join(message.split())))[:_MAX_MESSAGE]
        return f": {text}" if text else ""


_DEFAULT_TIERS: Final = frozenset({"", "default", "standard", "auto"})


class UsageResult(Struct):
    """Usage of a day, model and tier. The input includes what was read from caches and written to them."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    model: str | None = None
    batch: bool | None = None
    service_tier: str | None = None


class Amount(Struct):
    """Money."""

    value: Decimal = Decimal(0)
    currency: str = "usd"


class CostResult(Struct):
    """Costs of a day and line item, which is the name of a model and what of it, as `gpt-5.5, input`."""

    amount: Amount = field(default_factory=Amount)
    line_item: str | None = None


class DailyBucket(Struct, Generic[T]):
    """The usage, or the costs, of a day."""

    start_time: int
    results: list[T]


async def read_openai(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    """Read what is reported of the days in [start, end), or raise `ReportError`."""
    span = [("start_time", f"{start.timestamp():.0f}"), ("end_time", f"{end.timestamp():.0f}"), ("bucket_width", "1d")]
    tiers = [("group_by[]", "model"), ("group_by[]", "batch"), ("group_by[]", "service_tier")]
    usage: list[tuple[str, Query]] = [("completions", tiers), ("embeddings", [("group_by[]", "model")])]
    found: list[Reported] = []
    for what, group_by in usage:
        query = [*span, ("limit", "31"), *group_by]
        found += _of_usage(await pages.read(f"v1/organization/usage/{what}", query, DailyBucket[UsageResult]))
    query = [*span, ("limit", "180"), ("group_by[]", "line_item")]
    return [*found, *_of_costs(await pages.read("v1/organization/costs", query, DailyBucket[CostResult]))]


def _of_usage(buckets: list[DailyBucket[UsageResult]]) -> Iterator[Reported]:
    for bucket in buckets:
        for one in bucket.results:
            read, written = one.input_cached_tokens or 0, one.input_cache_write_tokens or 0
            tokens = ReportedTokens(one.input_tokens - read - written, one.output_tokens, read, written)
            tier = one.service_tier or STANDARD
            tier = "batch" if one.batch else STANDARD if tier in _DEFAULT_TIERS else tier
            yield Reported(_day(bucket.start_time), one.model or NO_MODEL, tokens, tier=tier)


def _of_costs(buckets: list[DailyBucket[CostResult]]) -> Iterator[Reported]:
    for bucket in buckets:
        for one in bucket.results:
            if one.amount.currency.lower() != "usd":
                raise ReportError(f"costs are reported in {one.amount.currency[:9]!r}; only US dollars are compared")
            item = (one.line_item or NO_MODEL).partition(",")[0].strip()
            yield Reported(_day(bucket.start_time), item, usd=one.amount.value)


def _day(seconds: int) -> date:
    try:
        return datetime.fromtimestamp(seconds, UTC).date()
    except (OverflowError, ValueError, OSError):
        raise ReportError(f"a report has a day that there is not: {seconds}") from None


MAX_DAYS: Final = 31
"""The days that one request may be about."""

_CENTS: Final = 100


def headers_of(key: str) -> Headers:
    """The headers of a request for reports."""
    return [("x-api-key", key), ("anthropic-version", "2023-06-01")]


class CacheCreation(Struct):
    """Tokens written to caches, by their lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class MessagesUsage(Struct):
    """Disjoint counts of tokens of a model and tier in a day."""

    model: str | None = None
    service_tier: str | None = None
    uncached_input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: CacheCreation = field(default_factory=CacheCreation)


class DescribedCost(Struct):
    """Costs of a model and tier in a day, in cents, or of something else, which `cost_type` names."""

    model: str | None = None
    service_tier: str | None = None
    cost_type: str | None = None
    amount: Decimal = Decimal(0)
    currency: str = "USD"


class DayOfResults(Struct, Generic[T]):
    """The usage, or the costs, of a day."""

    starting_at: datetime
    results: list[T]


async def read_anthropic(pages: ReportPages, start: datetime, end: datetime) -> list[Reported]:
    """Read what is reported of the days in [start, end), or raise `ReportError`."""
    found: list[Reported] = []
    while start < end:
        until = min(start + timedelta(days=MAX_DAYS), end)
        span = [(name, f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in (("starting_at", start), ("ending_at", until))]
        query = [*span, ("bucket_width", "1d"), ("limit", str(MAX_DAYS))]
        by_model = [*query, ("group_by[]", "model"), ("group_by[]", "service_tier")]
        usage = await pages.read("v1/organizations/usage_report/messages", by_model, DayOfResults[MessagesUsage])
        by_line = [*query, ("group_by[]", "description")]
        costs = await pages.read("v1/organizations/cost_report", by_line, DayOfResults[DescribedCost])
        found += [_used(day.starting_at, one) for day in usage for one in day.results]
        found += [_charged(day.starting_at, one) for day in costs for one in day.results]
        start = until
    return found


def _used(at: datetime, usage: MessagesUsage) -> Reported:
    written = usage.cache_creation.ephemeral_5m_input_tokens + usage.cache_creation.ephemeral_1h_input_tokens
    tokens = ReportedTokens(usage.uncached_input_tokens, usage.output_tokens, usage.cache_read_input_tokens, written)
    return Reported(_day_of(at), usage.model or NO_MODEL, tokens, tier=_tier(usage.service_tier))


def _charged(at: datetime, cost: DescribedCost) -> Reported:
    if cost.currency.upper() != "USD":
        raise ReportError(f"costs are reported in {cost.currency[:9]!r}; only US dollars are compared")
    model = cost.model or cost.cost_type or NO_MODEL
    return Reported(_day_of(at), model, usd=cost.amount / _CENTS, tier=_tier(cost.service_tier))


def _day_of(at: datetime) -> date:
    return (at if at.tzinfo is None else at.astimezone(UTC)).date()


def _tier(tier: str | None) -> str:
    return STANDARD if tier in {None, "standard"} else str(tier)


class MissingKeyError(ReportError):
    """There is no key for the reports."""


class ReportAccess(NamedTuple):
    """Where a provider's reports are, and the admin key that may read them; `key` is empty where none is set."""

    url: str
    key: str
    network: Network = DIRECT


async def read_report(
    client: UpstreamClient, access: Mapping[str, ReportAccess], provider: str, start: datetime, end: datetime
) -> list[Reported]:
    """Read what one of `READABLE` reports of the days in [start, end), in UTC. It may take minutes.

    Raises:
        MissingKeyError: No key is set.
        ReportError: It cannot be read; the message has no key in it.
    """
    url, key, network = access[provider]
    if not key:
        raise MissingKeyError(f"reconcile-{provider}-key is not set: give an admin key of {provider}")
    headers = headers_of(key) if provider == "anthropic" else [("Authorization", f"Bearer {key}")]
    pages = ReportPages(client, url, headers, f"reconcile-{provider}-key", network)
    read = read_anthropic if provider == "anthropic" else read_openai
    return await read(pages, start, end)
