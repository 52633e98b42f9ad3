import pytest

from storage.examples import store


@pytest.fixture(autouse=True)
def few_days(monkeypatch):
    """Two months take a minute: here it is four days, so at least two of them are no weekend."""
    monkeypatch.setattr(store, "DAYS", 4)
