"""Databases of modules whose tests only read."""

import pytest


@pytest.fixture(scope="module")
def name_of_filled(request, databases, run_apart):
    """The name of a database that `fill` of the module has filled."""
    name = databases.take()
    run_apart(request.module.fill(databases.connect(name)))
    yield name
    databases.give_back(name)


@pytest.fixture
def filled(patient_with_mongodb, io_loop, databases, name_of_filled):
    """That database, for a test that changes nothing in it."""
    return databases.connect(name_of_filled)
