import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from intercept.apis import InvalidRequestError
from intercept.catalog import CHAT_COMPLETIONS, CONVERSE, GENERATE_CONTENT, MESSAGES, RESPONSES
from intercept.conversations import Items
from intercept.dialects.request_bodies import (
    MAX_MODEL,
    MAX_PROMPT,
    MAX_SKIPPED_MESSAGES,
    MAX_WRAPPERS,
    decode_request,
    last_message,
    read_prompt,
)
from intercept.formats.json_text import (
    MAX_MEMBERS,
    MAX_MENDED_BYTES,
    MAX_MENDED_ESCAPES,
    MAX_MENDED_HALVES,
    MAX_READ_ESCAPES,
    MAX_READ_VALUES,
    MAX_VALUES,
)
from intercept.records import UserPrompt
from tests.cases import for_each
from tests.processor import is_within, seconds_of

MIB = 2**20


TWICE = "%s is there more than once: parsers differ in which one counts"


@for_each(
    ("body", "model", "stream"),
    (b'{"model":"m"}', "m", None),
    (b' {"stream" : null,\n"model":"m"}\t', "m", None),
    (b'{"model":"m","stream":false}', "m", False),
    (b'{"model":"m","stream":true,"temperature":1e999,"n":123456789012345678901234567890}', "m", True),
    (b'{"model":"m","text":"model","tools":[{"model":1,"stream":2}],"turns":[{"model":1}]}', "m", None),
    (rb'{"model":"m","text":"\\u006d and \"model\""}', "m", None),
    (b'{"model":"\\ud83d","text":"\\ude00"}', "�", None),
    (b'{"model":"m","text":"\xc3\xa9"}', "m", None),
    (b'{"model":"' + b"m" * MAX_MODEL + b'"}', "m" * MAX_MODEL, None),
)
def test_a_body_is_decoded_as_far_as_it_is_needed(body, model, stream):
    request = decode_request(body)
    assert (request.model, request.stream) == (model, stream)


@for_each(
    ("body", "message"),
    (b"", "request body is not valid JSON: Input data was truncated"),
    (b'{"model":"m"', "request body is not valid JSON: Input data was truncated"),
    (b"{'model':'m'}", "request body is not valid JSON: JSON is malformed: object keys must be strings (byte 1)"),
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
    (b'{"model":"m","stream":"yes"}', "request body is not usable: Expected `bool | null`, got `str` - at `$.stream`"),
    (b'{"model":"m","stream":1}', "request body is not usable: Expected `bool | null`, got `int` - at `$.stream`"),
    (b'{"model":"m","a":' + b"[" * 10**5 + b"]" * 10**5 + b"}", "request body is nested too deeply"),
    (b'{"model":"' + b"m" * (MAX_MODEL + 1) + b'"}', "model is too long: at most 256 characters"),
)
def test_an_unusable_body_is_refused_with_a_reason(body, message):
    with pytest.raises(InvalidRequestError) as raised:
        decode_request(body)
    assert str(raised.value) == message


@given(body=st.binary() | st.binary().map(lambda inner: b'{"model":"' + inner + b'"}'))
def test_any_body_is_decoded_or_refused(body):
    try:
        request = decode_request(body)
    except InvalidRequestError:
        return
    assert request.model.strip()
    assert request.model.encode()


def test_of_a_member_that_is_there_twice_the_last_one_counts():
    assert bytes(decode_request(b'{"turns":{},"turns":["a"],"model":"m"}')["turns"]) == b'["a"]'


def test_so_many_members_are_read_and_no_more():
    names = b",".join(b'"k%d":0' % number for number in range(MAX_MEMBERS))
    with pytest.raises(InvalidRequestError, match="too many members: at most 1024 are allowed"):
        decode_request(b'{"model":"m",%b}' % names)


@pytest.mark.parametrize(
    "api", [CHAT_COMPLETIONS, MESSAGES, RESPONSES, GENERATE_CONTENT, CONVERSE], ids=lambda api: api.name
)
def test_of_a_body_with_too_much_in_it_only_small_members_are_read(api):
    few = {"model": "m", "stream": True, "max_tokens": 9, "models": ["n"], "metadata": {"team": "a"}}
    items = [{"role": "user", "content": "x" * 9}] * (MAX_READ_VALUES // 3)
    body = json.dumps(few | dict.fromkeys(("messages", "contents"), items)).encode()
    summary = api.parse_request(body)
    assert (summary.model, summary.max_output_tokens, summary.other_models) == ("m", 9, ("n",))
    assert (summary.user_prompt, summary.blocks) == (UserPrompt(prompt="", truncated=True), None)
    assert api.parse_request(json.dumps(few | {"tools": items, "input": []}).encode()).other_models is None
    assert api.parse_request(json.dumps(few | {"x": items, "messages": []}).encode()).other_models == ("n",)
    with pytest.raises(InvalidRequestError, match="too many values"):
        api.parse_request(body[:-1] + b',"x":[' + b"0," * MAX_VALUES + b"0]}")


def filled(before, unit, behind=b"]}", size=64 * MIB):
    return before + unit * ((size - len(before) - len(behind)) // len(unit)) + behind


TURNS = b'{"model":"m","messages":['
TEXT = TURNS + b'{"role":"user","content":"'
PARTS = TURNS + b'{"role":"user","content":['
MOST = MAX_READ_VALUES - 20
# Each is made when it is read: all of them take a gigabyte.
HOSTILE = {
    "plain text": lambda: filled(TEXT, b"a", b'"}]}'),
    "escapes": lambda: filled(TEXT, rb"\n", b'"}]}'),
    "characters of every width": lambda: filled(TEXT, "é東🚀".encode(), b'"}]}'),
    "halves of pairs": lambda: TEXT + rb"\ud83d" * MAX_MENDED_HALVES + b"a" * (MAX_MENDED_BYTES - MIB) + b'"}]}',
    "half a pair behind escapes": lambda: (
        TEXT + rb"\n" * (MAX_MENDED_ESCAPES - 9) + b"a" * (MAX_MENDED_BYTES - 4 * MIB - 99) + rb'\ud83d"}]}'
    ),
    "numbers": lambda: filled(TURNS, b"0,", b"0]}"),
    "as many numbers as are read": lambda: TURNS + b"0," * MOST + b"0]}",
    "as many escapes in parts": lambda: (
        PARTS
        + (b'{"type":"text","text":"' + rb"\n" * 2000 + b"a" * 56_000 + b'"},') * (MAX_READ_ESCAPES // 2001)
        + b"0]}]}"
    ),
    "as many numbers as are passed": lambda: filled(
        b'{"model":"m","x":[' + b"0," * (MAX_VALUES - 9) + b'0],"y":"', rb"\n", b'"}'
    ),
    "as many objects as are read": lambda: TURNS + b"{}," * (MOST // 2) + b"{}]}",
    "parts": lambda: PARTS + b'{"type":"text","text":"a"},' * (MOST // 4) + b"0]}]}",
    "great depth": lambda: filled(TURNS, b"[" * 900 + b"]" * 900 + b",", b"0]}"),
    "names": lambda: filled(b'{"model":"m",', b'"":0,', b'"k":0}'),
    "as many names within as are read": lambda: b'{"model":"m","metadata":{' + b'"":0,' * MOST + b'"k":0}}',
    "a long name": lambda: filled(b'{"model":"m","', b"k", b'":0}'),
    "white space": lambda: filled(b'{"model":"m",', b" ", b'"k":0}'),
    "a long number": lambda: filled(b'{"model":"m","x":', b"1", b"}"),
    "no end": lambda: filled(TEXT, rb"\n", b""),
}


@pytest.mark.timed
@for_each("name", *HOSTILE)
def test_no_body_is_read_for_long_or_takes_much_memory(name):
    body = HOSTILE[name]()

    def read():
        with suppress(InvalidRequestError):
            MESSAGES.parse_request(body)

    assert is_within(0.15, lambda: seconds_of(read))
    tracemalloc.start()
    try:
        read()
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body) + 64 * MIB
    finally:
        tracemalloc.stop()


def last(*turns):
    item = last_message(Items(list(map(Raw, turns))))
    return item and (item.role, item.text)


@for_each(
    ("turns", "expected"),
    ([b'{"role":"a"}', b'{"role":"b","content":"c"}'], ("b", "c")),
    ([b'{"role":"a"}', b'"text"'], ("", "")),
    ([b'"\xff"', b'{"content":"\\ud83d\xff"}'], ("", "��")),
    ([], None),
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


REMINDER = "<system-reminder>\nThe date has changed.\n</system-reminder>"
INTERJECTED = """<system-reminder>
The user sent a new message while you were working:
use tabs

IMPORTANT: After completing your current task, you MUST address the message above.
</system-reminder>"""


@for_each(
    ("texts", "prompt"),
    (["fix it"], "fix it"),
    (["", "first", "fix it", ""], "fix it"),
    ([" fix it\n"], " fix it\n"),
    ([f"{REMINDER}\nfix it"], "fix it"),
    ([f"{REMINDER}{REMINDER}\n\nfix it\n\n{REMINDER}"], "fix it"),
    (["fix it", REMINDER], "fix it"),
    ([REMINDER, "fix it"], "fix it"),
    (["<current_datetime>2026-11-26T12:00:00Z</current_datetime>\n\nfix it"], "fix it"),
    ([INTERJECTED], "use tabs"),
    (["The user sent a new message while you were working:\nuse tabs"], "use tabs"),
    (
        [f"why <system-reminder> in the middle of {REMINDER} it?"],
        f"why <system-reminder> in the middle of {REMINDER} it?",
    ),
    (["<system-reminder> without an end"], "<system-reminder> without an end"),
    (["<session> is a word of mine"], "<session> is a word of mine"),
    (["please Generate a concise, single-line task title"], "please Generate a concise, single-line task title"),
)
def test_a_prompt_is_what_its_user_wrote(texts, prompt):
    assert read_prompt(texts) == UserPrompt(prompt=prompt)


@for_each(
    "text",
    REMINDER,
    "[SYSTEM NOTIFICATION - NOT USER INPUT]\nA task has ended.",
    "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.",
    "<session>\nHello\n</session>\nWrite the title of this session.",
    "<bash-stdout>main.py</bash-stdout><bash-stderr></bash-stderr>",
    "<local-command-stdout>done</local-command-stdout>",
    f"{REMINDER}\n[SYSTEM NOTIFICATION - NOT USER INPUT]",
    "Generate a concise, single-line task title for this conversation.",
    "You are performing a CONTEXT CHECKPOINT COMPACTION. Write a summary.",
    "Generate a title for this conversation:\n",
    "Managed memory directory: `/home/ada/.qwen/memory`\n\nScan the recent conversation",
)
def test_what_a_client_wrote_by_itself_is_recorded_as_synthetic(text):
    assert read_prompt([text]) == UserPrompt(prompt=text, synthetic=True)
    assert read_prompt(["fix it", text]) == UserPrompt(prompt="fix it")


def test_a_prompt_is_cut_at_its_cap_and_between_characters():
    assert read_prompt(["🚀" * MAX_PROMPT]) == UserPrompt(prompt="🚀" * MAX_PROMPT)
    assert read_prompt(["🚀" * MAX_PROMPT + "!"]) == UserPrompt(prompt="🚀" * MAX_PROMPT, truncated=True)


@pytest.mark.timed
@pytest.mark.parametrize("piece", ["<system-reminder>", "</system-reminder>", REMINDER, "<session>", INTERJECTED])
def test_the_time_for_a_hostile_text_grows_with_its_length_alone(piece):
    text = piece * (2_000_000 // len(piece))
    assert is_within(0.1, lambda: seconds_of(lambda: read_prompt([text])))  # a quadratic one takes minutes


pieces = st.lists(st.sampled_from([REMINDER, "<system-reminder>", "</system-reminder>", "a", " ", "\n", INTERJECTED]))


@given(st.lists(pieces.map("".join), max_size=4))
def test_every_text_makes_a_prompt_that_is_part_of_it(texts):
    prompt = read_prompt(texts)
    assert (prompt is None) == (not any(texts))
    assert prompt is None or any(prompt.prompt in text for text in texts)


@given(st.text(st.characters(codec="utf-8", exclude_characters="<["), min_size=1), st.integers(0, MAX_WRAPPERS))
def test_wrappers_leave_the_words_inside_as_they_are(words, wrappers):
    if read_prompt([words]) == UserPrompt(prompt=words) and words.strip() and "while you were working" not in words:
        expected = words if wrappers == 0 else words.strip()
        assert read_prompt([REMINDER * wrappers + words]) == UserPrompt(prompt=expected)


@for_each(
    ("body", "most"),
    ({"max_tokens": 9}, 9),
    ({"max_completion_tokens": 8, "max_tokens": 9}, 9),
    ({"max_completion_tokens": 8, "n": 3}, 24),
    ({"max_tokens": 7}, 7),
    ({"max_output_tokens": 6}, 6),
    ({"inferenceConfig": {"maxTokens": 5}}, 5),
    ({"max_tokens": 4}, 4),
    ({"generationConfig": {"maxOutputTokens": 3, "candidateCount": 2}}, 6),
    ({"generation_config": {"max_output_tokens": 3}}, 3),
    ({"generationConfig": 3}, None),
    ({"max_tokens": 4, "inferenceConfig": {"maxTokens": 5}}, 5),
    ({"additionalModelRequestFields": {"inferenceConfig": {"maxTokens": 6}}}, 6),
    ({"textGenerationConfig": {"maxTokenCount": 7}}, 7),
    ({}, None),
    ({"n": 3}, None),
    ({"max_tokens": None}, None),
    ({"max_tokens": "9"}, None),
    ({"max_tokens": -9}, None),
    ({"max_tokens": 0}, None),
    ({"max_tokens": 1.5}, None),
    ({"max_tokens": 10**12}, None),
    ({"max_tokens": 9, "n": [1]}, 9),
    ({"inferenceConfig": []}, None),
)
def test_the_most_that_a_request_allows_is_read_from_it(body, most):
    assert decode_request(json.dumps({"model": "m"} | body).encode()).summary().max_output_tokens == most
