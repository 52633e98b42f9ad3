"""Shells complete the command line as it is: they are started, and asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import for_each
from tests.command_line import invoke
from tests.server_process import ROOT

# What each shell runs of its start file, and how it is asked for the completions of "$@".
SHELLS = {
    "bash": """eval "$(aibridge completion bash)"
        [[ $(complete -p aibridge) == *" -F "* ]]
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _aibridge_completion aibridge
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """compdef() { true }
        _describe() { print -l ${${(P)3}%%:*} }
        compadd() { print -l ${(P)@[-1]} }
        eval "$(aibridge completion zsh)"
        words=("$@") CURRENT=$#
        _aibridge_completion
    """,
    "fish": """aibridge completion fish | source
        complete -C "$argv"
    """,
}
PLAIN = {"bash": ("--norc", "-c"), "zsh": ("-f", "-c"), "fish": ("--no-config", "-c")}


@pytest.fixture
def complete(tmp_path):
    """Have a shell complete the words, and return what it offers."""
    program = tmp_path / "aibridge"
    program.symlink_to(ROOT / "server.py")
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])

    def complete(shell, *words):
        given = [] if shell == "fish" else [shell]
        command = [shell, *PLAIN[shell], SHELLS[shell], *given, "aibridge", *words]
        done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return sorted(line.partition("\t")[0] for line in done.stdout.splitlines())

    return complete


@for_each("shell", *(one for one in SHELLS if one == "bash" or shutil.which(one)))
def test_a_shell_completes_commands_flags_and_values(complete, shell):
    assert complete(shell, "groups", "add") == ["add", "add-member"]
    assert complete(shell, "serve", "--record-policy", "") == ["spool", "strict"]


def test_what_is_given_by_the_environment_alone_is_no_flag(complete):
    assert complete("bash", "--openai-") == ["--openai-base-url", "--openai-fallback", "--openai-weight"]


def test_another_shell_is_refused_with_those_there_are():
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in invoke("completion", "tcsh").stderr
