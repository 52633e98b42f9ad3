"""Reads the pages of a provider's reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Final, Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from intercept.secrets import KnownSecrets, scrub_quoted
from upstream.client import UpstreamClient, UpstreamError
from upstream.connections.network import DIRECT, Network
from upstream.headers import Headers
from upstream.reports.reported import ReportError

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


class _Error(Struct):
    message: str = ""


class _ErrorBody(Struct):
    error: _Error = msgspec.field(default_factory=_Error)


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
