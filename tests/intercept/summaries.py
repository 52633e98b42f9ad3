"""What is read of a request body, without the digests of its conversation."""

from msgspec.structs import replace


def plain(summary):
    """Return a summary of a request without the digests that `tests/intercept/test_conversations.py` is about."""
    return replace(summary, conversation=None)
