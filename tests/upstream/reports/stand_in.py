"""Stand-ins for the reports of OpenAI and Anthropic: they speak the documented APIs on a real socket, in pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.answering import Answer, AnsweringServer, Asked

OPENAI_KEY = "sk-admin-0123456789abcdef"
ANTHROPIC_KEY = "sk-ant-admin01-0123456789abcdef"


@dataclass
class Entry:
    """What is reported of a day, a model and a tier: disjoint tokens, and dollars as text."""

    day: date
    model: str
    input: int = 0
    output: int = 0
    read: int = 0
    written: int = 0
    usd: str = "0"
    tier: str = "standard"
    api: str = "completions"


@dataclass
class StandIn:
    """What it reports, and how.

    Attributes:
        entries: Everything it knows.
        page_size: Rows or days on a page, where fewer are not asked for.
        refusal: Status, headers and body of every answer; None answers.
        requests: Their paths and queries.
    """

    entries: list[Entry] = field(default_factory=list)
    page_size: int = 2
    refusal: tuple[int, Mapping[str, str], bytes] | None = None
    requests: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    url: str = ""

    def start(self) -> None:
        self._server = AnsweringServer(self._answer)
        self.url, self.stop = f"{self._server.url}/", self._server.close

    def _answer(self, asked: Asked) -> Answer:
        status, headers, body = self.respond(asked.path, asked.headers)
        return Answer(status, body, headers)

    def respond(self, target: str, headers: Any) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        self.requests.append((parts.path, query))
        if self.refusal is not None:
            return self.refusal
        is_openai = parts.path.startswith("/v1/organization/")
        is_known = (
            headers.get("Authorization") == f"Bearer {OPENAI_KEY}"
            if is_openai
            else ANTHROPIC_KEY
            in {headers.get("x-api-key"), (headers.get("Authorization") or "").removeprefix("Bearer ")}
            and "anthropic-version" in headers
        )
        if not is_known:
            return _refuse(401, "no such key")
        served = self._openai() if is_openai else self._anthropic()
        serve = served.get(parts.path)
        return _refuse(404, "Not found") if serve is None else serve(query)

    def _openai(self) -> dict[str, Any]:
        usage = "/v1/organization/usage/"
        return {
            f"{usage}completions": lambda query: self._openai_usage("completions", query),
            f"{usage}embeddings": lambda query: self._openai_usage("embeddings", query),
            "/v1/organization/costs": self._openai_costs,
        }

    def _openai_usage(self, api: str, query: Mapping[str, Sequence[str]]) -> Any:
        def result(entry: Entry) -> dict[str, Any]:
            grouped = query.get("group_by[]", ())
            is_batch = entry.tier == "batch"
            return {
                "object": f"organization.usage.{api}.result",
                "input_tokens": entry.input + entry.read + entry.written,
                "output_tokens": entry.output,
                "input_cached_tokens": entry.read,
                "input_cache_write_tokens": entry.written,
                "num_model_requests": 1,
                "model": entry.model if "model" in grouped else None,
                "batch": is_batch if "batch" in grouped else None,
                "service_tier": ("default" if is_batch else entry.tier) if "service_tier" in grouped else None,
            }

        entries = [one for one in self.entries if one.api == api and _has_tokens(one)]
        return self._openai_pages(query, entries, result, 31)

    def _openai_costs(self, query: Mapping[str, Sequence[str]]) -> Any:
        def result(entry: Entry) -> dict[str, Any]:
            item = f"{entry.model}, input" if _has_tokens(entry) else entry.model
            return {
                "object": "organization.costs.result",
                "amount": {"value": float(entry.usd), "currency": "usd"},
                "line_item": item if "line_item" in query.get("group_by[]", ()) else None,
                "project_id": None,
            }

        return self._openai_pages(query, self.entries, result, 180)

    def _openai_pages(self, query: Mapping[str, Sequence[str]], entries: list[Entry], result: Any, most: int) -> Any:
        start, end, limit = (int(query[name][0]) for name in ("start_time", "end_time", "limit"))
        if query["bucket_width"] != ["1d"] or not 1 <= limit <= most:
            return _refuse(400, "bad bucket_width or limit")
        days = [datetime.fromtimestamp(at, UTC).date() for at in range(start, end, 86400)]
        buckets = [
            {
                "object": "bucket",
                "start_time": _seconds(day),
                "end_time": _seconds(day) + 86400,
                "results": [result(one) for one in entries if one.day == day],
            }
            for day in days
        ]
        return self._page(query, buckets, limit, {"object": "page"})

    def _anthropic(self) -> dict[str, Any]:
        return {
            "/v1/organizations/usage_report/messages": self._anthropic_usage,
            "/v1/organizations/cost_report": self._anthropic_costs,
        }

    def _anthropic_usage(self, query: Mapping[str, Sequence[str]]) -> Any:
        def result(entry: Entry) -> dict[str, Any]:
            return {
                "model": entry.model,
                "service_tier": entry.tier,
                "uncached_input_tokens": entry.input,
                "output_tokens": entry.output,
                "cache_read_input_tokens": entry.read,
                "cache_creation": {"ephemeral_5m_input_tokens": entry.written, "ephemeral_1h_input_tokens": 0},
                "server_tool_use": {"web_search_requests": 0},
            }

        return self._anthropic_pages(query, [one for one in self.entries if _has_tokens(one)], result)

    def _anthropic_costs(self, query: Mapping[str, Sequence[str]]) -> Any:
        def result(entry: Entry) -> dict[str, Any]:
            told = {"model": entry.model} if _has_tokens(entry) else {"model": None, "cost_type": entry.model}
            cents = f"{float(entry.usd) * 100:.6f}"
            return {"amount": cents, "currency": "USD", "service_tier": entry.tier} | told

        return self._anthropic_pages(query, self.entries, result)

    def _anthropic_pages(self, query: Mapping[str, Sequence[str]], entries: list[Entry], result: Any) -> Any:
        start, end = (datetime.fromisoformat(query[name][0]) for name in ("starting_at", "ending_at"))
        limit = int(query["limit"][0])
        if query["bucket_width"] != ["1d"] or not (end - start).days <= limit <= 31:
            return _refuse(400, "ending_at: the range may span at most 31 days")
        days = [start.date() + timedelta(days=number) for number in range((end - start).days)]
        buckets = [
            {
                "starting_at": _time(day),
                "ending_at": _time(day + timedelta(days=1)),
                "results": [result(one) for one in entries if one.day == day],
            }
            for day in days
        ]
        return self._page(query, buckets, limit, {})

    def _page(self, query: Mapping[str, Sequence[str]], rows: list[Any], limit: int, more: dict[str, Any]) -> Any:
        at = int(query["page"][0].removeprefix("page_")) if "page" in query else 0
        behind = at + min(limit, self.page_size)
        has_more = behind < len(rows)
        page = {"data": rows[at:behind], "has_more": has_more, "next_page": f"page_{behind}" if has_more else None}
        return 200, {"Content-Type": "application/json"}, json.dumps(page | more).encode()


def _has_tokens(entry: Entry) -> bool:
    return entry.input + entry.output + entry.read + entry.written > 0


def _time(day: date) -> str:
    return f"{day}T00:00:00Z"


def _seconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _refuse(status: int, message: str) -> tuple[int, Mapping[str, str], bytes]:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return status, {"Content-Type": "application/json"}, json.dumps(error).encode()
