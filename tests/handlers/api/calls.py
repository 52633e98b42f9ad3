"""Calls through the running bridge."""

import json

from tests.handlers.conversations import CHAT

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def record(running, headers=None, *, model="gpt-5", user_agent=None, fails=False):
    """Make a call and wait until its end is recorded; returns the id of the interception."""
    running.upstream.scripts.clear()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    running.upstream.play(FAILED if fails else head % len(CHAT.body) + CHAT.body)
    sent = dict(headers or running.headers) | ({"User-Agent": user_agent} if user_agent else {})
    body = json.dumps(CHAT.request | {"model": model}).encode()
    response = await running.request("POST", running.path(CHAT), sent, body)
    assert response.status == (500 if fails else 200)
    assert await running.bridge.recorder.flush(5)
    return response.header("X-AI-Bridge-Interception-Id")
