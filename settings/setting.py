"""One setting: what is known of it, where its value is looked for, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from settings.kinds import Kind

T = TypeVar("T")

PREFIX = "CODER_AIBRIDGE_"
SHORT_PREFIX = "AIBRIDGE_"
"""May stand in place of `PREFIX` in every variable."""


class SettingError(click.ClickException):
    """A setting cannot be used. Its one line names the setting, the value (never a secret) and what is allowed."""

    exit_code = 2


@dataclass(frozen=True)
class Setting:
    """One declared setting. `default` is text as an operator would write it, None where a value must be given."""

    name: str
    topic: str
    kind: Kind[Any]
    default: str | None
    help: str
    secret: bool = False
    environment_only: bool = False
    fallback: str = ""

    @property
    def env(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.replace("-", "_").upper()

    @property
    def env_file(self) -> str:
        """The environment variable that names a file holding the value; read for secrets only."""
        return self.env + "_FILE"

    @property
    def flag(self) -> str | None:
        """The command line flag, None for what is set by environment only."""
        return None if self.environment_only else f"--aibridge-{self.name}"

    def read(self, flags: Mapping[str, str], environ: Mapping[str, str]) -> Any:
        """Find and parse the value; `flags` maps setting names to the text given on the command line.

        Raises:
            SettingError: The text is not allowed, a file cannot be read, or a value that must be given is absent.
        """
        source, text = self._given(flags, environ)
        try:
            return self.kind.parse(text.strip())
        except (ValueError, OverflowError):
            # The cause would quote the text, which may be a secret.
            raise SettingError(f"{source}: {self.kind.echo(text)} is not allowed; give {self.kind.allowed}") from None

    def _given(self, flags: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
        """Where the value comes from, and its text."""
        if self.name in flags:
            return f"--aibridge-{self.name}", flags[self.name]
        given = find_variable(self.env, environ)
        if self.secret and (file := find_variable(self.env_file, environ)):
            if given:
                raise SettingError(f"{given[0]} and {file[0]} are both set; give one of them")
            return file[0], _content(*file)
        if given:
            return given
        if environ.get(self.fallback):
            return self.fallback, environ[self.fallback]
        if self.default is None:
            raise SettingError(f"{self.env} is not set; give {self.kind.allowed}")
        return self.env, self.default


def find_variable(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable of that name, with `PREFIX` or `SHORT_PREFIX`, and its text; None where it is unset or empty.

    Raises:
        SettingError: both are set, and differ.
    """
    short = SHORT_PREFIX + name.removeprefix(PREFIX)
    found = [(variable, environ[variable]) for variable in (name, short) if environ.get(variable)]
    if len({text.strip() for _, text in found}) > 1:
        raise SettingError(f"{name} and {short} are both set and differ; give one of them")
    return found[0] if found else None


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingError(f"{variable}: {path!r} cannot be read ({reason}); give a readable file") from None


def declare(topic: str, kind: Kind[T], default: str | None, text: str, **more: Any) -> T:
    """Make a dataclass field a setting; the field's name is the setting's."""
    declaration = {"topic": topic, "kind": kind, "default": default, "help": text, **more}
    shown = not more.get("secret", False)
    if default is None:
        return field(repr=shown, metadata=declaration)  # type: ignore[no-any-return]
    return field(default=kind.parse(default), repr=shown, metadata=declaration)
