"""Clients, as their users run them: the real package, with a home of its own.

They come from npm, pinned in `package-lock.json`, and from Python's index, pinned in `requirements.txt`; `make slow` installs
them. Each asks its model to make a file with a tool.
The scripted provider asks for the tool and, once it is sent the result, ends the turn with `ANSWER`.
"""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent / "node_modules"
PYTHON = Path(__file__).parents[2] / ".venv/clients/bin/python"
SECONDS = 60
PROMPT = "Make the file made.txt"
COMMAND = "echo by the tool > made.txt && echo it is made"
RESULT = "it is made"
ANSWER = "The file is there."


def program(package, pattern):
    """The program of a package."""
    found = sorted((PACKAGES / package).glob(pattern))
    if not found or not shutil.which("node"):
        pytest.skip(f"npm has not installed {package} (make slow does it)")
    return found[0]


def python():
    """The Python that has the clients of Python's index: what they require is not what the bridge does."""
    if not PYTHON.exists():
        pytest.skip("the clients of Python's index are not installed (make slow does it)")
    return PYTHON


class Client:
    """Runs a client in an empty folder.

    Args:
        folder: Where its home and its working folder are made.
    """

    def __init__(self, folder):
        folder.mkdir()
        self.home = folder / "home"
        self.work = folder / "work"
        self.home.mkdir()
        self.work.mkdir()

    def configure(self, path, text):
        """Write a file in its home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    async def run(self, *command, status=0, **environ):
        """Run it to its end, with this exit status; what it printed on standard output."""
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=self.work,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **environ},
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the programs that it has started
                await process.wait()
        assert process.returncode == status, (output, errors)
        return output.decode()

    @property
    def made(self):
        """What the tool wrote."""
        return (self.work / "made.txt").read_text()
