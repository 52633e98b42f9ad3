import re

import pytest

from benchmarks import idle_streams as benchmark


@pytest.mark.gen_test(timeout=60)
async def test_memory_is_told_for_each_step(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "SETTLE_SECONDS", 0)
    await benchmark.measure((2, 12))
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| 2 \| \d+\.\d MiB \| - \|", first)
    assert re.fullmatch(r"\| 12 \| \d+\.\d MiB \| -?\d+\.\d KiB \|", second)
