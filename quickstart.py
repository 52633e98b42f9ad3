"""What a newcomer without a provider key gets: a user, a token, and lines to paste."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from storage.identities import Identities, InvalidTokenError, Role

USERNAME = "demo"
TOKEN_FILE = "demo-token"  # noqa: S105 - a file's name
PROMPT = "Hello! What are you?"
_REQUESTS = (
    (
        "chat completions",
        "/v1/chat/completions",
        {"stream_options": {"include_usage": True}, "messages": [{"role": "user", "content": PROMPT}]},
    ),
    ("responses", "/v1/responses", {"input": PROMPT}),
    ("messages", "/v1/messages", {"max_tokens": 1024, "messages": [{"role": "user", "content": PROMPT}]}),
)


async def demo_token(identities: Identities, data_dir: Path) -> str:
    """A token of the user `demo`, who is an owner; the same one at every start, kept readable for this account only."""
    path = data_dir / TOKEN_FILE
    try:
        token = path.read_text(errors="replace").strip()
        await identities.authenticate(token)
    except (FileNotFoundError, InvalidTokenError):
        if await identities.find_user(USERNAME) is None:
            await identities.add_user(USERNAME, role=Role.OWNER)
        _, token = await identities.create_token(USERNAME, name="make run")
        _keep(token, path)
    return token


def _keep(token: str, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")


def welcome(address: str, token: str, data_dir: Path) -> str:
    """The text to print: `address` is where the server is reached, like `http://127.0.0.1:4001`."""
    authorization = shlex.quote(f"Authorization: Bearer {token}")
    lines = [
        "No provider has a key, so the built-in demo provider answers. For real ones stop this, set OPENAI_API_KEY or",
        "ANTHROPIC_API_KEY, and start again.",
        "",
        f"Token of user {USERNAME}, kept in {data_dir / TOKEN_FILE}:  {token}",
        f"Sign in with it to see the dashboard:  {address}/",
        "",
        "Paste a line into another terminal and watch the words arrive:",
    ]
    for name, path, body in _REQUESTS:
        data = shlex.quote(json.dumps({"model": "demo", "stream": True} | body))
        url = f"{address}/api/v2/aibridge/demo{path}"
        lines += ["", f"# {name}", f"curl -N {url} -H {authorization} -H 'Content-Type: application/json' -d {data}"]
    listing = shlex.quote(f"{address}/api/v2/aibridge/interceptions?limit=3")
    lines += ["", "# what was recorded of them", f"curl {listing} -H {authorization}"]
    return "\n".join(lines)


FIRST_USER = """\
    python server.py users add NAME --role owner
    python server.py tokens create NAME
"""
