import pytest

from storage.examples import filling, store
from storage.examples.days import calls_of


@pytest.fixture(autouse=True)
def few_days(monkeypatch):
    """Two months take a minute: here it is two days."""
    monkeypatch.setattr(store, "DAYS", 2)


@pytest.fixture
def few_at_work(monkeypatch):
    """Of each team somebody has calls, and of these each fifth one is made."""

    def calls_of_few(company, *args):
        return calls_of(company._replace(people=company.people[2::5]), *args)[::5]

    monkeypatch.setattr(filling, "calls_of", calls_of_few)
