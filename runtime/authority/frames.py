"""Frames on the socket between a worker and its supervisor: four bytes of length, big-endian, then a payload."""

from __future__ import annotations

HEADER_BYTES = 4

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The payload of one frame. What one event loop iteration brings is far smaller."""


class FrameError(Exception):
    """The received bytes are not a frame, or not a message of the other side."""


class FrameReader:
    """Cuts received bytes into frames. Holds at most one unfinished frame and the last received bytes.

    Args:
        max_bytes: The largest payload that is accepted.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._received = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; return the payloads of all frames that are whole now.

        Raises:
            FrameError: A frame is too large. Nothing more can be read.
        """
        received = self._received
        if not received and len(data) == HEADER_BYTES + int.from_bytes(data[:HEADER_BYTES], "big") <= self._max_bytes:
            return [data[HEADER_BYTES:]]  # as nearly always
        received += data
        payloads: list[bytes] = []
        start = 0
        while (begin := start + HEADER_BYTES) <= len(received):
            size = int.from_bytes(received[start:begin], "big")
            if size > self._max_bytes:
                raise FrameError(f"a frame of {size} bytes; at most {self._max_bytes} are allowed")
            if begin + size > len(received):
                break
            payloads.append(bytes(received[begin : begin + size]))
            start = begin + size
        del received[:start]
        return payloads


def frame(payload: bytes) -> bytes:
    """Put a payload into a frame.

    Raises:
        FrameError: It is too large.
    """
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(payload)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload
