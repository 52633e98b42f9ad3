import pytest

from storage.examples import filling, store
from storage.examples.days import calls_of


@pytest.fixture(autouse=True)
def few_days(monkeypatch):
    """Two months take a minute: here it is four days, so at least two of them are no weekend."""
    monkeypatch.setattr(store, "DAYS", 4)


@pytest.fixture
def few_at_work(monkeypatch):
    """Of all the people, every third has calls, of each team somebody."""

    def calls_of_few(company, *args):
        return calls_of(company._replace(people=company.people[::3]), *args)

    monkeypatch.setattr(filling, "calls_of", calls_of_few)
