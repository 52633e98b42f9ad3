import asyncio

import pytest

from tests.handlers.api.scripted_questions import ScriptedQuestions
from tests.storage.calls import Calls


@pytest.fixture
def questions(database):
    """The questions of the bridge, which a test may have answered as it says."""
    return ScriptedQuestions(database, slice_calls=1)


@pytest.fixture
def watches():
    """Set where users of long responses are looked at again in each turn of the event loop, else not at all."""
    return asyncio.Event()


@pytest.fixture
def watched_closely(watches):
    """Users of long responses are looked at all the time."""
    watches.set()


@pytest.fixture
def bridge_parts(questions, watches):
    """What answers questions, and the pauses of long responses."""

    async def pause(_):
        await watches.wait()
        await asyncio.sleep(0)

    return {"questions": questions, "pause": pause}


@pytest.fixture
def calls(running):
    """Records without a call."""
    return Calls(running.bridge.database)
