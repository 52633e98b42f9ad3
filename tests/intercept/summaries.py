"""Summaries of request bodies, compared."""

from msgspec.structs import replace


def plain(summary):
    """Return a summary of a request without what other tests are about.

    That is the digests (`tests/intercept/test_conversations.py`), the most that the model may write
    (`tests/intercept/dialects/test_max_output.py`), the results of tools (`tests/intercept/dialects/test_tool_results.py`),
    whether it uses state (`tests/intercept/test_provider_state.py`), and its blocks
    (`tests/intercept/dialects/test_blocks.py`).
    """
    return replace(summary, conversation=None, max_output_tokens=None, uses_state=False, tool_results=(), blocks=None)
