from pathlib import Path

from tests.http1.tornado_server import NOT_ON_TORNADO, ON_BOTH

ROOT = Path(__file__).parents[2]


def test_every_test_that_is_listed_for_tornados_server_exists():
    assert all((ROOT / path).is_file() for path in ON_BOTH)
    for name in NOT_ON_TORNADO:
        path, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), name
