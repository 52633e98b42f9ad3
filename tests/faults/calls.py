"""The calls of the load. Each has a number, which comes back from every side that saw the call.

The client puts the number into its prompt. The upstream reads it there and claims to have produced as many tokens. So a
record shows it twice, once from the request and once from the response, and a record that mixes two calls is found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.handlers.conversations import ALL, Conversation
from upstream.demo.scripted import LAST_CHUNK, chunk

PROMPT = re.compile(rb"call (\d+)")
# The one count that differs from call to call: of the output, in the last word on usage.
OUTPUT_TOKENS = b'_tokens": 2'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass(frozen=True)
class Call:
    """One call: what is requested, what comes back, and what is to be recorded."""

    number: int
    conversation: Conversation
    streaming: bool

    @classmethod
    def numbered(cls, number: int) -> Call:
        """Each API in its turn, three streaming calls and then three blocking ones."""
        return cls(number, ALL[number % 3], streaming=number // 3 % 2 == 0)

    @classmethod
    def requested(cls, body: bytes) -> Call:
        match = PROMPT.search(body)
        assert match is not None, body
        return cls.numbered(int(match[1]))

    @property
    def path(self) -> str:
        provider = "anthropic" if self.conversation.path == "/v1/messages" else "openai"
        return f"/api/v2/aibridge/{provider}{self.conversation.path}"

    @property
    def prompt(self) -> str:
        return f"call {self.number}"

    @property
    def request(self) -> bytes:
        return self.conversation.request_body(stream=self.streaming).replace(b"Hello", self.prompt.encode())

    @property
    def response(self) -> bytes:
        body = self.conversation.stream if self.streaming else self.conversation.body
        return body.replace(OUTPUT_TOKENS, b'_tokens": %d' % self.number)

    @property
    def events(self) -> list[bytes]:
        return [event + b"\n\n" for event in self.response.split(b"\n\n")[:-1]]

    @property
    def tokens(self) -> dict[str, int | None]:
        return self.conversation.tokens | {"output_tokens": self.number}

    def script(self) -> Iterator[bytes]:
        """The response as it goes over the wire, head first, in the pieces that a provider would send it in."""
        if self.streaming:
            yield STREAM_HEAD
            yield from map(chunk, self.events)
            yield LAST_CHUNK
        else:
            yield BODY_HEAD % len(self.response)
            yield self.response
