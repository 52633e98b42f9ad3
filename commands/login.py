"""`login`: get a token by signing in to the dashboard in a browser, and keep it for AI clients (RFC 8628)."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import click

from installation import COMMAND, user_folder

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
ANSWER_SECONDS = 30.0
MAX_RESPONSE_BYTES = 64 * 1024
MAX_MESSAGE = 500
"""Characters of what a server says that are shown."""

_API = "/api/v2/aibridge/device"
_SLOWER_SECONDS = 5
_OK, _UNAVAILABLE = 200, 503


class NoAnswerError(click.ClickException):
    """The bridge does not answer."""

    def __init__(self, address: str, error: Exception) -> None:
        super().__init__(f"{address} cannot be reached: {getattr(error, 'reason', error)}")


class _Stay(HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: a token goes to the server that was named."""


@click.command()
@click.argument("url", required=False)
@click.option("--print-token", is_flag=True, help="Print the stored token; do not sign in.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def login(url: str | None, print_token: bool, no_browser: bool) -> None:
    """Sign in to the AI Bridge at URL, in a browser, and keep a token of yours for AI clients.

    It is kept in ~/.config/aibridge/logins.json, which only you can read. With --print-token it prints that token, for
    clients that run a command, such as the apiKeyHelper of Claude Code; URL may be left out if there is only one.
    """
    address = None if url is None else checked_url(url)
    if print_token:
        click.echo(kept_token(address))
        return
    if address is None:
        raise click.UsageError("give the URL of the bridge, such as https://bridge.example")
    sign_in(address, browser=not no_browser)
    click.echo(f"Complete commands by Tab: see {COMMAND} completion --help", err=True)


def sign_in(address: str, *, browser: bool) -> None:
    """Sign in to a bridge, and keep the token.

    Raises:
        click.ClickException: There is none.
    """
    try:
        path = _keep(address, _fetch(address, browser=browser))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise click.ClickException(f"{address} sent an answer that is not valid") from error
    except OSError as error:
        raise click.ClickException(f"the token cannot be kept in {_file()}: {error.strerror}") from error
    click.echo(f"Signed in. The token is kept in {path}. See what you called: {COMMAND} calls", err=True)


def _fetch(address: str, *, browser: bool) -> dict[str, Any]:
    """Show a code, and wait for the token."""
    codes = _post(address, "code", {"client_name": f"login on {socket.gethostname()}"})
    if "error" in codes:
        raise click.ClickException(f"{address} gives no code: {shorten(codes.get('error_description'))}")
    code = str(codes["user_code"])
    if re.fullmatch("[A-Z-]{4,32}", code) is None:
        raise ValueError(code)
    page = f"{address}/#/device/{code}"  # where the user said, whatever the server calls itself behind a proxy
    click.echo(f"Open this page, and compare the code {code}:\n\n    {page}\n", err=True)
    if browser:
        webbrowser.open(page)
    return _poll(address, codes)


def _poll(address: str, codes: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for the token, as often as the server allows, until the code expires."""
    interval, over_at = int(codes["interval"]), time.monotonic() + int(codes["expires_in"])
    form = {"grant_type": GRANT_TYPE, "device_code": str(codes["device_code"])}
    unreachable = ""
    while time.monotonic() < over_at:
        time.sleep(interval)
        try:
            response = _post(address, "token", form)
        except NoAnswerError as error:  # it may be starting again (RFC 8628, section 3.5)
            if not unreachable:
                click.echo(f"{error}. It is asked again until the code expires.", err=True)
            unreachable = str(error)
            interval += _SLOWER_SECONDS
            continue
        unreachable = ""
        match response.get("error"):
            case None:
                return response
            case "authorization_pending" | "temporarily_unavailable":
                continue
            case "slow_down":
                interval += _SLOWER_SECONDS
            case "access_denied":
                raise click.ClickException(f"you were not let in. {shorten(response.get('error_description'))}".strip())
            case _:
                break
    raise click.ClickException(unreachable or "the code has expired; run this again")


def checked_url(url: str) -> str:
    """The address of a bridge: with https, or with http on this machine.

    Raises:
        click.UsageError: It is none.
    """
    parts = urlsplit("")
    with suppress(ValueError):
        parts = urlsplit(url if "://" in url else f"https://{url}")
    host = parts.hostname or ""
    local = host == "localhost"
    with suppress(ValueError):
        local = ip_address(host).is_loopback
    if not host or parts.username is not None or (parts.scheme != "https" and not (local and parts.scheme == "http")):
        raise click.UsageError(f"{url!r} is not the URL of a bridge; give one with https, or with http on this machine")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _post(address: str, what: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Send a form. An error in the form of OAuth is returned too."""
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    request = Request(f"{address}{_API}/{what}", urlencode(form).encode(), headers)  # noqa: S310 - http or https
    try:
        with send(request, ANSWER_SECONDS) as response:
            status, body = response.status, response.read(MAX_RESPONSE_BYTES)
    except (OSError, HTTPException) as error:
        raise NoAnswerError(address, error) from error
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        decoded = None
    if isinstance(decoded, dict) and status == _UNAVAILABLE:
        return {"error": "temporarily_unavailable", "error_description": decoded.get("message")}
    if not isinstance(decoded, dict) or (status != _OK and "error" not in decoded):
        said = shorten(decoded.get("message") if isinstance(decoded, dict) else None)
        raise click.ClickException(f"{address} answers {status}: {said or 'it is no AI Bridge, or an older one'}")
    return decoded


def send(request: Request, seconds: float) -> HTTPResponse | HTTPError:
    """Send a request that follows no redirect, and return the response, whatever its status.

    Raises:
        OSError: There is none.
        HTTPException: It is not HTTP.
    """
    try:
        response: HTTPResponse = build_opener(_Stay()).open(request, timeout=seconds)
    except HTTPError as error:
        return error
    return response


def shorten(text: object) -> str:
    """What a server says, as a terminal may show it: nothing in it is a command to the terminal."""
    shortened = str(text or "")[:MAX_MESSAGE]
    return "".join(one if one.isprintable() else "?" for one in shortened)


def _file() -> Path:
    return user_folder("XDG_CONFIG_HOME", ".config") / "logins.json"


def _read() -> dict[str, Any]:
    try:
        logins = json.loads(_file().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{_file()} cannot be read; remove it and sign in again") from error
    return logins if isinstance(logins, dict) else {}


def _keep(address: str, token: Mapping[str, Any]) -> Path:
    """Store a token in a private file, atomically."""
    path = _file()
    expires_at = time.time() + int(token.get("expires_in") or 0)
    logins = _read() | {address: {"token": str(token["access_token"]), "expires_at": int(expires_at)}}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        json.dump(logins, file)
    new.replace(path)
    return path


def kept_address() -> str:
    """The address of the only bridge that somebody signed in to.

    Raises:
        click.UsageError: There is none, or more than one.
    """
    found = sorted(_read())
    if len(found) != 1:
        raise click.UsageError(f"give --url, {'one of ' + ', '.join(found) if found else 'or run `login URL` first'}")
    return found[0]


def kept_token(address: str | None) -> str:
    """The token that is kept for a bridge, or the only one.

    Raises:
        click.ClickException: There is none that is valid.
    """
    logins = _read()
    if address is None and len(logins) > 1:
        raise click.UsageError(f"give the URL of one of {', '.join(sorted(logins))}")
    login = next(iter(logins.values()), None) if address is None else logins.get(address)
    if not isinstance(login, dict) or not isinstance(login.get("token"), str):
        raise click.ClickException(f"not signed in{f' to {address}' if address else ''}; run `login URL` first")
    if login.get("expires_at", 0) <= time.time():
        raise click.ClickException("the token has expired; run `login URL` again")
    return str(login["token"])
