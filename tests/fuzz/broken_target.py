"""A target that fails, for the test of the fuzzer itself."""

SEEDS = [b"a"]
WORDS = [b"ab"]


def check(data: bytes) -> None:
    assert not data.startswith(b"ab"), "it begins with ab"
