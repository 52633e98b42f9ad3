"""Summaries of request bodies, compared."""

from msgspec.structs import replace


def plain(summary):
    """Return a summary of a request without what other tests are about.

    That is the digests (`tests/intercept/callers/test_conversations.py`), the most that the model may write
    (`tests/intercept/dialects/test_max_output.py`), the results of tools (`tests/intercept/dialects/test_tool_results.py`),
    whether it uses state (`tests/intercept/test_provider_state.py`), and its blocks
    (`tests/intercept/dialects/test_blocks.py`).
    """
    return replace(summary, conversation=None, max_output_tokens=None, uses_state=False, tool_results=(), blocks=None)


def is_read_alike(body, whole, shorter):
    """Whether a body that was abridged (`shorter`) is read like the whole one.

    Tools within the input are not read once it is abridged: their models are unknown then, or none are named.
    """
    may_have_tools = b'"tools"' in body or rb"\u00" in body
    others = (whole.other_models, shorter.other_models)
    alike = others[0] == others[1] or (may_have_tools and (others[1] is None or others == (None, ())))
    return alike and replace(shorter, other_models=others[0]) == whole
