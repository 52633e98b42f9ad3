import pytest

from tests.clients.command_line_client import Client


@pytest.fixture
def client(tmp_path):
    """A client of the command line that was never run before."""
    return Client(tmp_path / "client")


@pytest.fixture
def url(running):
    """Where the providers of the bridge are, as users give it to clients."""
    return f"http://127.0.0.1:{running.port}/api/v2/aibridge"
