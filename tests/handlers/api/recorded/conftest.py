from __future__ import annotations

import pytest

from tests.storage.calls import Calls


@pytest.fixture
def calls(running):
    """Records without a call."""
    return Calls(running.bridge.database)
