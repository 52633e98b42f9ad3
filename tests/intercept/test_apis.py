import pytest

from intercept.apis import Dialect, InvalidRequestError, RequestSummary
from intercept.catalog import BY_PATH
from intercept.records import Reading


def test_the_dialects_are_written_as_the_provider_types_are():
    assert [str(dialect) for dialect in Dialect] == ["openai", "anthropic", "gemini", "bedrock"]


def test_an_invalid_request_is_a_value_error_that_speaks_to_the_client():
    error = InvalidRequestError("model is required: a non-empty string")
    assert isinstance(error, ValueError)
    assert str(error) == "model is required: a non-empty string"


def test_a_summary_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable type: 'RequestSummary'"):
        RequestSummary(model="m").model = "n"


@pytest.mark.parametrize("api", BY_PATH.values(), ids=lambda api: api.name)
def test_readers_share_nothing_and_begin_empty(api):
    for make in (api.stream_reader, api.body_reader):
        used, fresh = make(), make()
        used.feed(b'{"id":"r"}')
        used.feed(b'\n\ndata: {"id":"r","type":"message_stop"}\n\n')
        assert fresh.result() == Reading()
