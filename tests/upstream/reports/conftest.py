import pytest

from tests.upstream.reports.stand_in import StandIn


@pytest.fixture
def stand_in():
    """A provider that reports."""
    stand_in = StandIn()
    stand_in.start()
    yield stand_in
    stand_in.stop()
