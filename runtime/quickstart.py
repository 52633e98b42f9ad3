"""The messages after a first start: how to call the demo provider, or how to add a first user."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from installation import IS_INSTALLED, ROOT
from settings import Settings
from storage.accounts.authentication import InvalidTokenError
from storage.accounts.identities import Identities
from storage.accounts.users import IdentityError, Role, checked_username

USERNAME = "demo"
TOKEN_FILE = "demo-token"  # noqa: S105 - a file's name
NO_DASHBOARD = """\
There is no dashboard: its libraries are not installed, which takes npm. Install Node.js with npm (on Debian and Ubuntu:
apt-get install npm) and start with `make run` again. The server needs neither once they are installed."""
LINK = "Open the dashboard; this link signs in once, within ten minutes (later, sign in with the token):"
NO_KEY = "No provider has a key yet: stop this, set OPENAI_API_KEY or ANTHROPIC_API_KEY, and start again."
PROMPT = "Hello! What are you?"
_REQUESTS = (
    ("chat completions", "/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}),
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


def welcome(address: str, token: str, data_dir: Path, *, code: str, dashboard: bool) -> str:
    """The text for a first look without a key.

    Args:
        address: Where the server is reached, like `http://127.0.0.1:4001`.
        token: Of the user `demo`.
        data_dir: Where it is kept.
        code: What signs in once. It stands behind the `#`, which browsers send to nobody.
        dashboard: Whether the dashboard is installed.
    """
    authorization = shlex.quote(f"Authorization: Bearer {token}")
    lines = [
        "No provider has a key, so the built-in demo provider answers. For real ones stop this, set OPENAI_API_KEY or",
        "ANTHROPIC_API_KEY, and start again.",
        "",
        f"Token of user {USERNAME}, kept in {data_dir / TOKEN_FILE}:  {token}",
        *(f"{LINK}\n    {address}/#/sign-in/{code}" if dashboard else NO_DASHBOARD).splitlines(),
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


def first_steps(
    address: str, settings: Settings, usernames: Sequence[str], *, dashboard: bool, managed: bool = False
) -> str:
    """The text for a server with providers of its own: how to get a token, and what it opens.

    Args:
        address: Where the server is reached.
        settings: What it runs with.
        usernames: The users there are.
        dashboard: Whether the dashboard is installed.
        managed: Whether there are providers in the database.
    """
    people = [name for name in usernames if name != USERNAME]
    name = people[0] if people else _own_username()
    if people:
        lines = ["Create a token for a user in another terminal; it is shown once:", ""]
    else:
        lines = ["Add yourself as an owner, and a token, in another terminal:", ""]
        lines.append("    " + command(settings, "users", "add", name, "--role", "owner"))
    lines += ["    " + command(settings, "tokens", "create", name), ""]
    if "@" in settings.mongodb_uri:
        lines += ["Set AIBRIDGE_MONGODB_URI there as it is set here.", ""]
    if not managed and not any(one.has_credential for one in settings.providers):
        lines += [NO_KEY, ""]
    lines.append(f"Sign in with the token to see the dashboard:  {address}/" if dashboard else NO_DASHBOARD)
    return "\n".join(lines)


def command(settings: Settings, *words: str) -> str:
    """A command on the database of a server, to be pasted in any folder. A URI with a password is not shown."""
    flags: list[str] = []
    if not settings.mongodb_uri:
        flags += ["--data-dir", str(settings.data_dir.resolve())]
    elif "@" not in settings.mongodb_uri:
        flags += ["--mongodb-uri", settings.mongodb_uri]
    if settings.mongodb_database != Settings.mongodb_database:
        flags += ["--mongodb-database", settings.mongodb_database]
    program = [sys.argv[0]] if IS_INSTALLED else [sys.executable, str(ROOT / "server.py")]
    return shlex.join([*program, *words, *flags])


def _own_username() -> str:
    """The name of the operator's account in the operating system, if it is a valid username."""
    try:
        return checked_username(getpass.getuser())
    except (KeyError, OSError, IdentityError):
        return "admin"
