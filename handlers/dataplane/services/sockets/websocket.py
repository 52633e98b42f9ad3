"""One end of a WebSocket: bytes in, messages out, and the other way round. No I/O.

Source: RFC 6455. Frames are read and written by the `websockets` library; here they become whole text messages. No extension
is used: compression would hide from the reader what is in a message.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol, Side, State

GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005
INVALID_DATA: Final = 1007
_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16


class WebSocket:
    """Reads and writes after the handshake.

    Output is collected; `drain_output` returns it. Pings and closes are answered automatically.

    Args:
        side: `SERVER` towards a client, `CLIENT` towards a provider.
        max_message_bytes: The largest message that may come. A larger one closes the connection with 1009.
    """

    def __init__(self, side: Side, max_message_bytes: int) -> None:
        self._protocol = Protocol(side, max_size=max_message_bytes)
        self._message = bytearray()
        self._is_broken = False
        self._is_closing = False

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._protocol.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether no close of the other side is to be awaited: it has come, or that side has broken the protocol."""
        is_failed = self._is_broken or self._protocol.parser_exc is not None
        return is_failed or self._protocol.close_rcvd is not None or self._protocol.state is State.CLOSED

    @property
    def close_code(self) -> int | None:
        """The code with which it was closed, `NO_STATUS` where none was named; None while it is open.

        Without a close frame of the other side it is the code of the frame that was sent.
        """
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return None if close is None else int(close.code)

    @property
    def close_reason(self) -> str:
        """The reason that came with the code."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return "" if close is None else close.reason

    def feed(self, data: bytes) -> list[bytes]:
        """Read what has arrived; return the messages that are whole now, each text in UTF-8.

        What breaks the protocol closes the connection: a binary message with 1003, text that is not UTF-8 with 1007.
        """
        if self._protocol.state is State.CLOSED:
            return []
        self._protocol.receive_data(data)
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        return [message for frame in frames if (message := self._join(frame)) is not None]

    @property
    def unfinished_bytes(self) -> int:
        """How much has arrived of a message that is not whole."""
        return len(self._message) + len(self._protocol.reader.buffer)

    def feed_eof(self) -> None:
        """Note that nothing more comes."""
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()

    def send(self, message: bytes) -> None:
        """Send a text message; nothing once the connection is closed or about to be."""
        if self.is_open:
            self._protocol.send_text(message)

    def ping(self) -> None:
        """Send a ping."""
        if self.is_open:
            self._protocol.send_ping(b"")

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; what comes from now on is dropped. Again is harmless."""
        self._is_closing = True
        self._message.clear()
        if self.is_open:
            self._protocol.send_close(None if code == NO_STATUS else code, "" if code == NO_STATUS else reason)

    def drain_output(self) -> bytes:
        """Return the bytes to send."""
        return b"".join(self._protocol.data_to_send())

    def _join(self, frame: Frame) -> bytes | None:
        """Add a frame to its message; return that when it is whole."""
        if frame.opcode is Opcode.BINARY:
            self._break(UNSUPPORTED_DATA, "text is expected")
        if frame.opcode not in {Opcode.TEXT, Opcode.CONT} or self._is_closing:
            return None
        self._message += frame.data
        if not frame.fin:
            return None
        message = bytes(self._message)
        self._message.clear()
        if not _is_utf8(message):
            self._break(INVALID_DATA, "text has to be UTF-8")
            return None
        return message

    def _break(self, code: int, reason: str) -> None:
        self._is_broken = True
        self.close(code, reason)


def new_key() -> str:
    """Return a value for `Sec-WebSocket-Key` (RFC 6455 section 4.1)."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def is_key(text: str) -> bool:
    """Whether this may be a `Sec-WebSocket-Key`: sixteen bytes in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except ValueError:
        return False


def accept_key(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` that belongs to a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_GUID, usedforsecurity=False).digest()).decode()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


__all__ = ["CLIENT", "SERVER", "WebSocket", "accept_key", "is_key", "new_key"]
