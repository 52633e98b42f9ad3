import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, field
from msgspec.json import Decoder

from intercept.apis import InvalidRequestError
from intercept.dialects.request_bodies import (
    MAX_MODEL,
    MAX_SKIPPED_MESSAGES,
    RequestBody,
    decode_request,
    last_message,
)
from intercept.items import Items
from tests.cases import for_each


class Body(RequestBody):
    turns: list[Raw] = field(default_factory=list)


DECODER = Decoder(RequestBody)
TWICE = "%s is there more than once: parsers differ in which one counts"


@for_each(
    ("body", "model", "stream"),
    [
        (b'{"model":"m"}', "m", None),
        (b' {"stream" : null,\n"model":"m"}\t', "m", None),
        (b'{"model":"m","stream":false}', "m", False),
        (b'{"model":"m","stream":true,"temperature":1e999,"n":123456789012345678901234567890}', "m", True),
        (b'{"model":"m","text":"model","tools":[{"model":1,"stream":2}],"turns":[{"model":1}]}', "m", None),
        (rb'{"model":"m","text":"\\u006d and \"model\""}', "m", None),
        (b'{"model":"\\ud83d","text":"\\ude00"}', "�", None),
        (b'{"model":"m","text":"\xc3\xa9"}', "m", None),
        (b'{"model":"' + b"m" * MAX_MODEL + b'"}', "m" * MAX_MODEL, None),
    ],
)
def test_a_body_is_decoded_as_far_as_it_is_needed(body, model, stream):
    request = decode_request(body, Decoder(Body))
    assert (request.model, request.stream) == (model, stream)


@for_each(
    ("body", "message"),
    [
        (b"", "request body is not valid JSON: Input data was truncated"),
        (b'{"model":"m"', "request body is not valid JSON: Input data was truncated"),
        (b"{'model':'m'}", "request body is not valid JSON: JSON is malformed: object keys must be strings (byte 1)"),
        (b'{"model":"m","text":"\xff"}', "request body is not valid UTF-8 (byte 21)"),
        (b'{"model":"m","stream":true,"model":"n"}', TWICE % "model"),
        (rb'{"model":"m","stream":true,"mod\u0065l":"n"}', TWICE % "model"),
        (b'{"Model":"n","model":"m"}', TWICE % "model"),
        (b'{"model":"m","tools":[],"Tools":[]}', TWICE % "tools"),
        (b'{"model":"m","input":[],"input":"Hello"}', TWICE % "input"),
        (rb'{"model":"m","MOD\u0045L":"n"}', TWICE % "model"),
        (b'{"model":"m","STREAM":true,"stream":false}', TWICE % "stream"),
        ('{"model":"m","\u017ftream":true,"stream":false}'.encode(), TWICE % "stream"),
        (rb'{"\u006D\u006fdel":"m","model":"m"}', TWICE % "model"),
        (b'{"stream":null,"model":"m","stream":false}', TWICE % "stream"),
        (rb'{"str\u0065am":true,"model":"m","stream":true}', TWICE % "stream"),
        (b'{"model":"m","turns":["model"],"turns":[],"model":"n"}', TWICE % "model"),
        (b'{"model":"m","p":NaN}', "request body is not valid JSON: JSON is malformed: invalid character (byte 17)"),
        (b'\xef\xbb\xbf{"model":"m"}', "request body is not valid JSON: JSON is malformed: invalid character (byte 0)"),
        (b'{"model":"m"}{}', "request body is not valid JSON: JSON is malformed: trailing characters (byte 14)"),
        (b"[]", "request body is not usable: Expected `object`, got `array`"),
        (b"null", "request body is not usable: Expected `object`, got `null`"),
        (b'"model"', "request body is not usable: Expected `object`, got `str`"),
        (b"{}", "model is required: a non-empty string"),
        (b'{"model":""}', "model is required: a non-empty string"),
        (b'{"model":" \\n"}', "model is required: a non-empty string"),
        (b'{"model":null}', "request body is not usable: Expected `str`, got `null` - at `$.model`"),
        (b'{"model":5}', "request body is not usable: Expected `str`, got `int` - at `$.model`"),
        (b'{"model":["m"]}', "request body is not usable: Expected `str`, got `array` - at `$.model`"),
        (
            b'{"model":"m","stream":"yes"}',
            "request body is not usable: Expected `bool | null`, got `str` - at `$.stream`",
        ),
        (b'{"model":"m","stream":1}', "request body is not usable: Expected `bool | null`, got `int` - at `$.stream`"),
        (b'{"model":"m","a":' + b"[" * 10**5 + b"]" * 10**5 + b"}", "request body is nested too deeply"),
        (b'{"model":"' + b"m" * (MAX_MODEL + 1) + b'"}', "model is too long: at most 256 characters"),
    ],
)
def test_an_unusable_body_is_refused_with_a_reason(body, message):
    with pytest.raises(InvalidRequestError) as raised:
        decode_request(body, DECODER)
    assert str(raised.value) == message


@given(body=st.binary() | st.binary().map(lambda inner: b'{"model":"' + inner + b'"}'))
def test_any_body_is_decoded_or_refused(body):
    try:
        request = decode_request(body, DECODER)
    except InvalidRequestError:
        return
    assert request.model.strip()
    assert request.model.encode()


def test_a_conversation_of_another_type_is_left_out():
    assert decode_request(b'{"turns":{},"stream":true,"model":"m"}', Decoder(Body)) == Body(model="m", stream=True)
    with pytest.raises(
        InvalidRequestError, match=r"^request body is not usable: Expected `str`, got `int` - at `\$\.model`$"
    ):
        decode_request(b'{"turns":{},"model":5}', Decoder(Body))


def test_of_a_conversation_that_is_there_twice_the_last_one_counts():
    for body in (b'{"turns":{},"turns":["a"],"model":"m"}', b'{"turns":["b"],"turns":["a"],"model":"m"}'):
        assert decode_request(body, Decoder(Body)) == Body(model="m", turns=[Raw(b'"a"')])
    assert decode_request(b'{"turns":["a"],"turns":{},"model":"m"}', Decoder(Body)) == Body(model="m")


def last(*turns):
    item = last_message(Items(list(map(Raw, turns))))
    return item and (item.role, item.text)


@for_each(
    ("turns", "expected"),
    [
        ([b'{"role":"a"}', b'{"role":"b","content":"c"}'], ("b", "c")),
        ([b'{"role":"a"}', b'"text"'], ("", "")),
        ([b'"\xff"', b'{"content":"\\ud83d\xff"}'], ("", "��")),
        ([], None),
    ],
)
def test_the_last_item_of_a_conversation_is_its_last_turn(turns, expected):
    assert last(*turns) == expected


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_program_s_own_messages_behind_the_user_s_are_looked_past(role):
    turns = [b'{"role":"user","content":"Hello"}', *[b'{"role":"%s"}' % role.encode()] * MAX_SKIPPED_MESSAGES]
    assert last(*turns) == ("user", "Hello")
    assert last(*turns, turns[-1]) is None


def test_another_s_message_is_the_last_turn():
    assert last(*[b'{"role":"%s"}' % role for role in (b"user", b"assistant", b"system")]) == ("assistant", "")
