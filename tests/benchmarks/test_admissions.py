from uuid import UUID

import pytest

from benchmarks import admissions as benchmark
from benchmarks.admissions import KINDS, LIMITS, measure
from storage.admission.admissions import Admissions


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.gen_test
async def test_every_kind_of_decision_is_measured_and_given_back(database, monkeypatch, name):
    monkeypatch.setattr(benchmark, "SECONDS", 0.05)
    admissions = Admissions(database, process=UUID(int=1), limits=LIMITS, patience=30)
    await admissions.open()
    took = await measure(admissions, KINDS[name], 4)
    await admissions.close()
    assert len(took) >= 4
    assert 0 < took[0] <= took[-1]
    assert (await admissions.usage(1)).slots == 0
