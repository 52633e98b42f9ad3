"""The command line as operators have it: run it, and read its output."""

from click.testing import CliRunner

from server import main


def invoke(*arguments, typed="", **environ):
    """Run a command that may read what is `typed`; `environ` is added to the environment."""
    return CliRunner().invoke(main, arguments, input=typed, env=environ, prog_name="server.py")


def succeeded(result):
    """Expect success without a word on stderr, and return what was printed."""
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(result):
    """Expect nothing printed, and return the exit code and what is on stderr."""
    assert result.stdout == ""
    return result.exit_code, result.stderr
