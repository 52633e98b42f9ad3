from intercept.dialects.drafts import MAX_ERROR_BYTES, MAX_ERROR_MESSAGE
from intercept.formats.error_body import ErrorReader
from intercept.records import ProviderError, Reading
from tests.cases import for_each


def read(*chunks):
    reader = ErrorReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader.result()


@for_each(
    ("body", "kind", "message"),
    [
        (
            b'{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
            "invalid_request_error",
            "Incorrect API key provided.",
        ),
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"},"request_id":"req_1"}',
            "rate_limit_error",
            "Slow down",
        ),
        (b'{"error":{"code":429,"message":"Quota"}}', "unnamed_error", "Quota"),
        (b'{"error":{"type":"empty"}}', "empty", '{"error":{"type":"empty"}}'),
        (b'{"error":"model not found"}', "unnamed_error", "model not found"),
        (b'{"error":"Not Found","message":"no such model","code":"missing"}', "missing", "no such model"),
        (b'{"object":"error","message":"too long","type":"BadRequestError","code":400}', "BadRequestError", "too long"),
        (b'{"error":{},"message":"only here"}', "unnamed_error", "only here"),
        (b'{"detail":"Not authenticated"}', "unnamed_error", "Not authenticated"),
        (b'{"detail":[{"loc":["body"]}]}', "unnamed_error", '{"detail":[{"loc":["body"]}]}'),
    ],
)
def test_an_error_is_read_from_the_json_of_either_dialect_and_of_their_imitators(body, kind, message):
    expected = Reading(complete=True, error=ProviderError(type=kind, message=message))
    assert read(body) == expected
    assert read(*(body[at : at + 1] for at in range(len(body)))) == expected


@for_each(
    ("body", "message"),
    [
        (b"", ""),
        (b"  upstream connect error\r\n", "upstream connect error"),
        (b"<html><h1>502</h1></html>", "<html><h1>502</h1></html>"),
        (b'["in an array"]', '["in an array"]'),
        (b'{"error":{"message":"cut', '{"error":{"message":"cut'),
        (b"\xff\x00", "�\0"),
    ],
)
def test_a_body_that_is_no_json_object_is_its_own_message(body, message):
    assert read(body) == Reading(error=ProviderError(type="unnamed_error", message=message))


def test_a_long_body_is_looked_at_in_part_only():
    reader = ErrorReader()
    for _ in range(100):
        reader.feed(b"x" * (MAX_ERROR_BYTES // 10))
    assert reader.result() == Reading(error=ProviderError(type="unnamed_error", message="x" * MAX_ERROR_MESSAGE))
    assert len(reader._body) == MAX_ERROR_BYTES
