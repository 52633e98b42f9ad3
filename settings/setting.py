"""One setting: an option of click's that also reads our variables and files, and says which of them is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from settings.kinds import SettingKind

T = TypeVar("T")

PREFIX = "AIBRIDGE_"
LONG_PREFIX = "CODER_AIBRIDGE_"
"""May stand in place of `PREFIX` in every variable."""

LONG_FLAG = "--aibridge-"
"""May stand in place of the `--` of every flag."""

FLAGS = "aibridge.flags"
"""Where a command line keeps the flags that were given, by the names of their settings."""


class SettingError(click.ClickException):
    """A setting cannot be used. Its one line names the setting, the value (never a secret) and what is allowed."""

    exit_code = 2


class Setting(click.Option):
    """One declared setting. `default` is text as an operator would write it, None where a value must be given.

    On a command line its flag is only remembered, as it may stand before or after a sub-command; `read` looks at it.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        kind: SettingKind[Any],
        default: str | None,
        help: str,  # noqa: A002 - click's word
        *,
        secret: bool = False,
        environment_only: bool = False,
        fallback: str = "",
    ) -> None:
        self.env = PREFIX + name.replace("-", "_").upper()
        self.env_file = self.env + "_FILE"  # names a file that holds the value; read for secrets only
        super().__init__(
            [f"--{name}"], type=kind, default=default, expose_value=False,
            help=help, envvar=[self.env, self.env_file] if secret else self.env, show_envvar=True,
            show_default=bool(default),
        )  # fmt: skip
        self.name, self.topic, self.kind, self.secret, self.fallback = name, topic, kind, secret, fallback
        if environment_only:
            self.opts = []
        self.flag = next(iter(self.opts), None)

    def read(self, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
        """Find and parse the value: of the flag, else of the variable, else the default.

        The flags are the texts given on the command line, by the names of settings.

        Raises:
            SettingError: The text is not allowed, a file cannot be read, or a value that must be given is absent.
        """
        context = click.Context(click.Command(self.name), obj=environ)
        text, source = self.consume_value(context, flags)
        if text is None:
            raise SettingError(f"{self.env} is not set; give {self.kind.allowed}")
        try:
            return self.process_value(context, text)
        except click.BadParameter as error:
            origin = self.flag if source is ParameterSource.COMMANDLINE else self._variable(environ)[0]
            # The cause would quote the text, which may be a secret.
            raise SettingError(f"{origin}: {error.message}") from None

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Give click the text of the variable, or of the file that it names; None where neither is set."""
        return self._variable(ctx.obj)[1] or None

    def _variable(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """The variable that counts, and the text that it gives: an empty one where none is set."""
        given = _find(self.env, environ)
        if self.secret and (file := _find(self.env_file, environ)):
            if given:
                raise SettingError(f"{given[0]} and {file[0]} are both set; give one of them")
            return file[0], _content(*file)
        return given or (self.fallback, environ.get(self.fallback, ""))

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[None, list[str]]:
        """Remember the flag."""
        if self.name in opts:
            ctx.meta.setdefault(FLAGS, {})[self.name] = opts[self.name]
        return None, args

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ARG002 - the name is click's
        """Let the command line have the flag, if there is one."""
        if self.flag:
            flags = [self.flag, LONG_FLAG + str(self.name)]
            parser.add_option(self, opts=flags, dest=self.name, action="store", nargs=self.nargs)

    def get_help_record(self, _: click.Context) -> None:
        """Give click nothing to list: a `SettingsCommand` shows its settings by topic."""

    def help_record(self, ctx: click.Context) -> tuple[str, str]:
        """What to write in the help, as click writes it; what has no flag goes by its variable."""
        usage, text = super().get_help_record(ctx) or ("", "")
        return (usage, text) if self.flag else (f"{self.env} {self.kind.name}", text)


def _find(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable of that name, with `PREFIX` or `LONG_PREFIX`, and its text; None where it is unset or empty."""
    long = LONG_PREFIX + name.removeprefix(PREFIX)
    found = [(variable, environ[variable]) for variable in (name, long) if environ.get(variable)]
    if len({text.strip() for _, text in found}) > 1:
        raise SettingError(f"{name} and {long} are both set and differ; give one of them")
    return found[0] if found else None


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingError(f"{variable}: {path!r} cannot be read ({reason}); give a readable file") from None


def declare(topic: str, kind: SettingKind[T], default: str | None, text: str, **more: Any) -> T:
    """Make a dataclass field a setting; the field's name is the setting's."""
    declaration = {"topic": topic, "kind": kind, "default": default, "help": text, **more}
    in_repr = not more.get("secret", False)
    if default is None:
        return field(repr=in_repr, metadata=declaration)  # type: ignore[no-any-return]
    return field(default=kind.parse(default), repr=in_repr, metadata=declaration)
