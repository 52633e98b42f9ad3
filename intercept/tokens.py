"""Token counts as providers report them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from intercept.formats.json_text import as_object, as_text
from intercept.records import ProviderPrice, TokenUsage

MAX_COUNT: Final = 2**63 - 1
"""The largest count: BSON's 64-bit integer."""
MAX_PRICE: Final = 1_000_000
"""US dollars that a response can cost; more is taken for no price."""
PRICE_PLACES: Final = 12
"""Decimal places of a price."""
USD_TICKS: Final = 10**10
"""xAI's unit of money: so many are a US dollar."""
MAX_USAGE_WEIGHT: Final = 16 * 1024
"""The most a provider's usage object may weigh: characters of its strings and names, and one for each value."""
MAX_USAGE_DEPTH: Final = 16
"""How deeply a provider's usage object may be nested."""

SERVICE_TIER: Final = "service_tier"
"""The member of a usage object that names the service tier: Anthropic's own; of others it is put there."""
BATCH_TIER: Final = "batch"
"""The service tier of the requests of a batch."""

_TIERS_OF_TRAFFIC: Final = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}


def count(value: object) -> int | None:
    """Return a token count: a whole number from 0 to `MAX_COUNT`. Everything else was not reported."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def storable(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a usage object that MongoDB takes as it is; an empty one in place of any other.

    Not taken are objects heavier than `MAX_USAGE_WEIGHT`, deeper than `MAX_USAGE_DEPTH`, with integers beyond 64 bits, or
    with names that BSON cannot hold (NUL) or MongoDB reads as operators ($).
    """
    weight = depth = 0
    values: list[Any] = [usage]
    while values:
        weight += len(values)
        if weight > MAX_USAGE_WEIGHT or depth > MAX_USAGE_DEPTH:
            return {}
        deeper: list[Any] = []
        for value in values:
            if type(value) is int:
                if not -MAX_COUNT <= value <= MAX_COUNT:
                    return {}
            elif isinstance(value, dict):
                names = "".join(value)
                if "\0" in names or ("$" in names and any(name.startswith("$") for name in value)):
                    return {}
                weight += len(value) + len(names)
                deeper += value.values()
            elif isinstance(value, (str, list)):
                weight += len(value)
                deeper += value if isinstance(value, list) else ()
        values, depth = deeper, depth + 1
    return usage if weight <= MAX_USAGE_WEIGHT else {}


def openai_tokens(usage: object, incoming: str, outgoing: str) -> TokenUsage | None:
    """Read OpenAI's usage object, whose incoming tokens include those read from the cache and those written to it.

    Some providers (xAI, Gemini by OpenAI's API) leave reasoning out of the outgoing tokens, but not of the total.

    Args:
        usage: The usage object; anything else reports nothing.
        incoming: `prompt` or `input`, depending on the API.
        outgoing: `completion` or `output`, depending on the API.

    Returns:
        The disjoint counts, or None if no count was reported.
    """
    fields = as_object(usage)
    prompt, output = count(fields.get(f"{incoming}_tokens")), count(fields.get(f"{outgoing}_tokens"))
    total = count(fields.get("total_tokens"))
    details = as_object(fields.get(f"{incoming}_tokens_details"))
    cached, written = count(details.get("cached_tokens")), count(details.get("cache_write_tokens"))
    if prompt is None and cached is None and written is None and output is None:
        return None
    if output is not None and prompt is not None and total is not None:
        output = max(output, total - prompt)
    return TokenUsage(
        provider_response_id="",
        input_tokens=None if prompt is None else max(prompt - (cached or 0) - (written or 0), 0),
        output_tokens=output,
        cache_read_input_tokens=cached,
        cache_write_input_tokens=written,
        price=provider_price(fields),
        usage=storable(fields),
    )


def disjoint_tokens(
    usage: dict[str, Any], names: tuple[str, str, str, str], price: ProviderPrice | None = None
) -> TokenUsage | None:
    """Read a usage object whose four counts are disjoint; None if no count was reported.

    Their `names` are in order: input, output, read from the cache, written to it.
    """
    counts = [count(usage.get(name)) for name in names]
    if counts == [None] * len(names):
        return None
    incoming, outgoing, cache_read, cache_write = counts
    return TokenUsage(
        provider_response_id="",
        input_tokens=incoming,
        output_tokens=outgoing,
        cache_read_input_tokens=cache_read,
        cache_write_input_tokens=cache_write,
        price=price,
        usage=storable(usage),
    )


def google_tokens(usage: dict[str, Any], counts: Sequence[int | None]) -> TokenUsage | None:
    """Make the disjoint counts of a usage object of Google's; None without any. If there is a total, a missing one is zero.

    Args:
        usage: The usage object.
        counts: Of the prompt (with what is cached), the output, thoughts, what is cached, the results of tools, and the total.
    """
    prompt, output, thoughts, cached, tools, total = counts
    if all(one is None for one in counts):
        return None
    if total is not None:
        prompt, output, thoughts, cached = (one or 0 for one in (prompt, output, thoughts, cached))
    return TokenUsage(
        provider_response_id="",
        input_tokens=None if prompt is None else max(prompt - (cached or 0), 0) + (tools or 0),
        output_tokens=None if output is None and thoughts is None else (output or 0) + (thoughts or 0),
        cache_read_input_tokens=cached,
        usage=storable(usage),
    )


def written_for_an_hour(usage: dict[str, Any]) -> int:
    """Return how many of the tokens that were written to a cache stay there for an hour, and not for minutes.

    Sources: Anthropic, "Prompt caching" (`cache_creation`); Amazon Bedrock, TokenUsage (`cacheDetails`).
    """
    details = usage.get("cacheDetails")
    lasting = [as_object(one) for one in details] if isinstance(details, list) else []
    counts = [count(one.get("inputTokens")) or 0 for one in lasting if one.get("ttl") == "1h"]
    return sum(counts, start=count(as_object(usage.get("cache_creation")).get("ephemeral_1h_input_tokens")) or 0)


def web_searches(usage: dict[str, Any]) -> int:
    """Return how many searches the provider made for a response. Source: Anthropic, "Web search tool" (`server_tool_use`)."""
    return count(as_object(usage.get("server_tool_use")).get("web_search_requests")) or 0


def processing(usage: dict[str, Any]) -> dict[str, str]:
    """Return how a response was made, where prices depend on it: `service_tier` and `speed`, if the provider says them.

    Sources: Anthropic, Usage (`service_tier`, `speed`); OpenAI, "Flex processing" and "Priority processing"; Google,
    UsageMetadata (`serviceTier`; `trafficType` of Vertex AI).
    """
    traffic = _TIERS_OF_TRAFFIC.get(as_text(usage.get("trafficType")))
    tier = traffic or as_text(usage.get(SERVICE_TIER)) or as_text(usage.get("serviceTier")).lower()
    return {name: said for name, said in ((SERVICE_TIER, tier), ("speed", as_text(usage.get("speed")))) if said}


def provider_price(usage: dict[str, Any]) -> ProviderPrice | None:
    """Return what a usage object says that its response costs; None where it says nothing that can be a price.

    Sources: OpenRouter, "Usage accounting" (`cost`, in US dollars); xAI, "Cost tracking" (`cost_in_usd_ticks`, of which
    10,000,000,000 are a dollar).
    """
    ticks: Any = usage.get("cost_in_usd_ticks")
    dollars: Any = usage.get("cost")
    if type(ticks) is int and 0 <= ticks <= MAX_PRICE * USD_TICKS:
        return ProviderPrice(usd=Decimal(ticks) / USD_TICKS, source="cost_in_usd_ticks")
    if type(dollars) in (int, float) and 0 <= dollars <= MAX_PRICE:
        return ProviderPrice(usd=round(Decimal(str(dollars)), PRICE_PLACES), source="cost")
    return None
