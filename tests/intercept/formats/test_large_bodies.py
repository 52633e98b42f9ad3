import json
import time
import tracemalloc
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from intercept.apis import InvalidRequestError
from intercept.catalog import BY_PATH, CHAT_COMPLETIONS, MESSAGES, RESPONSES
from intercept.dialects.bedrock import requests as bedrock_requests
from intercept.dialects.openai.stream_usage import with_usage
from intercept.dialects.prompts import MAX_PROMPT
from intercept.formats import json_walk
from intercept.formats.json_walk import MAX_DEPTH, MAX_SPACE, WINDOW_BYTES
from intercept.formats.large_bodies import MAX_TEXT, abridged
from intercept.formats.steps import finish
from intercept.formats.weight import (
    LIGHT_BODY_ESCAPES,
    LIGHT_BODY_VALUES,
    LIGHT_BYTES,
    LIGHT_MAX_BYTES,
    LIGHT_SURROGATES,
    is_light,
)
from tests.cases import for_each
from tests.intercept.malformed_responses import json_values
from tests.intercept.summaries import is_read_alike, plain
from tests.processor import is_within
from tests.wire.conversations import conversations

NAMES = "model stream messages input metadata user_id role content type text tool_call_id tool_use_id call_id tools models x"
BEDROCKS = "toolResult toolUseId prompt inputText"
TEXTS = "user tool system developer text tool_result function_call_output input_text"
MIB = 2**20
SIZE = 2**17  # of what is read in steps, which are as long in a larger body
TURNS = b'{"model":"m","messages":'
HOSTILE = {
    "a long string": b'{"model":"m","x":"' + b"a" * 3 * SIZE + b'"}',
    "escapes and half a pair": TURNS + b'[{"role":"user","content":"' + rb"\n" * 2 * SIZE + rb'\ud83d"}]}',
    "halves of pairs": TURNS + b'[{"role":"user","content":"' + rb"\ud83d" * SIZE + b'"}]}',
    "characters of every width": TURNS + b'[{"role":"user","content":"' + "é東🚀".encode() * (MIB // 3) + b'"}]}',
    "numbers": b'{"model":"m","x":[' + b"0," * 2 * SIZE + b"0]}",
    "numbers for messages": TURNS + b"[" + b"0," * 2 * SIZE + b"0]}",
    "objects for messages": TURNS + b"[" + b"{}," * 2 * SIZE + b"{}]}",
    "strings for messages": TURNS + b"[" + b'"",' * SIZE + b'""]}',
    "many messages": TURNS + b"[" + b'{"role":"user","content":"Hello, you"},' * 2000 + b"{}]}",
    "many parts": TURNS + b'[{"role":"user","content":[' + b'{"type":"text","text":"Hello"},' * 12_000 + b"{}]}]}",
    "keys": b'{"model":"m","x":{' + b"".join(b'"k%d":0,' % number for number in range(40_000)) + b'"k":0}}',
    "keys at the top": b'{"model":"m",' + b"".join(b'"k%d":0,' % number for number in range(40_000)) + b'"k":0}',
    "the same key": b'{"model":"m",' + b'"role":0,' * (SIZE // 36) + b'"role":0}',
    "escaped keys": b'{"model":"m",' + rb'"\u0061":0,' * (SIZE // 36) + b'"k":0}',
    "some depth": TURNS + b"[" + b"[[[[[[[]]]]]]]," * (SIZE // 150) + b"0]}",
    "great depth": b'{"model":"m","x":' + b"[" * 3 * SIZE + b"}",
    "depth where a model may be named": b'{"model":"m","tools":['
    + b'{"svg":' * 400
    + b"0"
    + b"}" * 400
    + b'],"x":"'
    + b"a" * SIZE
    + b'"}',
    "great depth again and again": TURNS + b"[" + (b"[" * 500 + b"]" * 500 + b",") * 12 + b"0]}",
    "white space": b'{"model":"m",' + (b" " * (MAX_SPACE - 1) + b'"k":0,') * 8 + b'"k":0}',
    "no end of white space": b'{"model":"m",' + b" " * 3 * (SIZE // 3) + b'"k":0}',
    "a long number": b'{"model":"m","x":' + b"1" * 3 * SIZE + b"}",
    "a long key": b'{"model":"m","' + b"k" * 3 * SIZE + b'":0}',
    "arrays of long escapes": TURNS
    + b'[{"role":"user","content":['
    + (b"[[" + (b'"' + rb"\n" * 9000 + b'",') * 20 + b"0]],") * 2
    + b"0]}]}",
    "parts of long escapes": TURNS
    + b'[{"role":"user","content":['
    + (b'{"type":"text","text":"' + rb"\n" * 9000 + b'"},') * 40
    + b"0]}]}",
    "messages of long escapes": TURNS + b"[" + (b'{"role":"user","content":"' + rb"\n" * SIZE + b'"},') * 3 + b"0]}",
    "every name with escapes": TURNS
    + b"[{"
    + b",".join(b'"%b":{"content":"%b"}' % (name.encode(), rb"\u00e9" * 20_000) for name in NAMES.split())
    + b',"role":"user"}]}',
    "pairs": TURNS + b'[{"role":"user","content":"' + rb"\ud83d\ude80" * (SIZE // 3) + b'"}]}',
    "long numbers": TURNS + b'[{"role":"user","content":[' + b"1.2345678901234567e-300," * (SIZE // 6) + b"0]}]}",
    "no end": TURNS + b'[{"role":"user","content":["' + b"x" * 3 * SIZE,
}


def repeated(item, size, around=b"%b"):
    """A user message of about so many bytes: its content is an array of one item again and again."""
    content = b"[" + b",".join([item] * (size // (len(item) + 1))) + b"]"
    return b'{"model":"m","stream":true,"messages":[{"role":"user","content":%b}]}' % (around % content)


SPARSE = LIGHT_MAX_BYTES - 256
AT_ONCE = {
    **{
        name: repeated(item, LIGHT_BYTES - 256)
        for name, item in {
            "zeros": b"0",
            "arrays": b"[]",
            "objects": b"{}",
            "depth": b"[[[[[]]]]]",
            "long numbers": b"1.2345678901234567e-300",
            "parts": b'{"type":"text","text":"a"}',
            "parts of escapes": b'{"type":"text","text":"%b"}' % (rb"\n" * 9000),
            "parts of codes": b'{"type":"text","text":"%b"}' % (rb"\u00e9" * 3000),
            "strings": b'""',
            "halves of pairs": b'"%b"' % (rb"\ud83d" * 9000),
            "arrays of escapes": b'[["%b"]]' % (rb"\n" * 9000),
        }.items()
    },
    "some halves of pairs": repeated(b'"%b"' % (rb"\ud83d" * LIGHT_SURROGATES), LIGHT_SURROGATES * 6 + 10),
    "keys": b'{"model":"m",' + b",".join(b'"k%d":0' % number for number in range(11_000)) + b"}",
    "a long text": b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (b"a " * (SPARSE // 2)),
    "characters": b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % ("é" * (SPARSE // 2)).encode(),
    "escapes": repeated(b'{"type":"text","text":"%b"}' % (rb"\n" * (LIGHT_BODY_ESCAPES // 2 - 9)), SPARSE // 4),
    "many long numbers": repeated(b"1.2345678901234567e-300", 24 * (LIGHT_BODY_VALUES - 99)),
    "letters that names have": repeated(rb'"\u0065"', LIGHT_BYTES - 256),
    "depth and a letter that names have": repeated(
        b"[" * 500 + b"]" * 500, LIGHT_BYTES - 256, rb'["\u0065",%b]'
    ).replace(b":", b": ", 1),
    "members": b'{"model": "m",' + b'"":0,' * (LIGHT_BYTES // 5 - 9) + rb'"\u0065":0}',
    "names": repeated(b'"model"', LIGHT_BYTES - 256),
    "many names": repeated(b'"model"   ', 11 * (LIGHT_BODY_VALUES - 99)),
    "others": b'{"model":"m","models":["a","b"],"x":0,"fallbacks":[{"model":"c"}],'
    + b'"y":{"models":[1]},' * 9_000
    + b'"x":0}',
    "options": b'{"model":"m","stream":true,' + b'"stream_options":{},' * 6_000 + b'"x":0}',
    "options within": repeated(b'{"stream_options":{"x":1}}', LIGHT_BYTES - 256)[:-1] + b',"stream_options":{"x":1}}',
    "large options": b'{"model":"m","stream":true,"stream_options":{%b}}' % (b'"a":0,' * 20_000 + b'"a":0'),
}


@pytest.mark.timed
@for_each("body", AT_ONCE.values(), ids=AT_ONCE)
@for_each("api", BY_PATH.values(), ids=lambda api: api.name)
def test_no_body_that_is_read_at_once_holds_anybody_up(api, body):
    if api is RESPONSES:
        body = body.replace(b'"messages":', b'"input":').replace(b'"type":"text"', b'"type":"input_text"')

    def seconds():
        began = time.thread_time()
        if is_light(body):
            summary = outcome(api.parse_request, body)
            if summary != "refused":
                steps = with_usage(body, summary.stream_options)
                if steps is not None and summary.stream_options is None:  # others are done in steps
                    finish(steps)
        return time.thread_time() - began

    assert is_within(0.03, seconds)  # twice what the dearest takes


def outcome(read, body):
    try:
        return replace(read(body), blocks=None)  # an abridged body has none
    except InvalidRequestError:
        return "refused"


@for_each("conversation", conversations(), ids=lambda each: f"{each.api.name}-{each.name}")
def test_an_abridged_request_is_summed_up_like_the_whole_one(conversation):
    summary = conversation.api.parse_request(finish(abridged(conversation.request)))
    assert plain(summary) == conversation.record.request
    padded = json.dumps({"x": [[[[[["x" * WINDOW_BYTES]]]]]]} | json.loads(conversation.request), indent=9).encode()
    summary = conversation.api.parse_request(finish(abridged(padded)))
    assert summary == outcome(conversation.api.parse_request, padded)
    assert summary.user_prompt == conversation.record.request.user_prompt


PARSERS = {api.name: api.parse_request for api in BY_PATH.values()}
PARSERS["bedrock"] = partial(bedrock_requests.parse_request, model="m")
VALUES = json_values(f"{NAMES} {BEDROCKS}", TEXTS)
MEMBERS = st.dictionaries(st.sampled_from(f"{NAMES} {BEDROCKS}".split()), VALUES, max_size=6)
PARTS = st.lists(st.fixed_dictionaries({"toolResult": VALUES}) | VALUES, max_size=3)
MESSAGES_OF_USERS = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": PARTS}))


@given(
    value=st.one_of(
        MEMBERS,
        MEMBERS.map(lambda some: {"model": "m", **some}),
        st.builds(lambda some, said: {"model": "m"} | some | {"messages": said}, MEMBERS, MESSAGES_OF_USERS),
    ),
    data=st.data(),
)
def test_any_request_abridged_is_read_or_refused_like_the_whole_one(value, data):
    body = json.dumps(value, indent=data.draw(st.sampled_from([None, 1]))).encode()
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(body)))
        body = body[:at] + data.draw(st.binary(max_size=3)) + body[data.draw(st.integers(at, len(body))) :]
    whole = {name: outcome(parse, body) for name, parse in PARSERS.items()}
    for name, parse in PARSERS.items():
        shorter = outcome(lambda body, parse=parse: parse(finish(abridged(body))), body)
        if isinstance(shorter, str) or isinstance(whole[name], str):
            assert shorter == whole[name]
        else:
            assert is_read_alike(body, whole[name], shorter)


def test_models_of_tools_in_the_middle_of_an_input_are_unknown_and_no_others():
    def others(**members):
        said = {"type": "message", "role": "user", "content": "y" * 4096}
        items = [said] * 99 + [members.pop("item", said)] + [said] * 99
        body = json.dumps({"model": "m", "input": items} | members, indent=4).replace("`", r"\u0060").encode()
        return RESPONSES.parse_request(finish(abridged(body))).other_models

    tool = {"type": "image_generation", "model": "n"}
    schema = {
        "type": "function",
        "name": "f",
        "parameters": {"properties": {"model": {"type": "string"}}, "required": ["model"]},
    }
    fusion = {"type": "openrouter:fusion", "parameters": {"models": ["n"]}}
    search = {"type": "openrouter:web_search", "parameters": {"max_results": 3}}
    assert others(item={"type": "message", "role": "user", "content": "y", "model": "n"}) == ()
    assert others(tools=[tool, schema]) == ("n",)
    assert others(tools=[tool], item={"type": "tool_search_output", "tools": [schema]}) == ("n",)
    assert others(tools=[tool], item={"type": "tool_search_output", "tools": [tool]}) is None
    assert others(item={"type": "tool_search_output", "tools": [tool]}) is None
    assert others(tools=[tool, {"type": ["function"]}]) is None
    assert others(tools=[search, search]) == ()
    assert others(tools=[search], model="openrouter/auto") == ()
    assert others(tools=[search, fusion]) is None
    assert others(tools=[search], item={"type": "additional_tools", "tools": [fusion]}) is None
    assert others(tools=[search], item={"type": "message", "role": "user", "content": "``` \x7f"}) == ()
    assert others(item={"type": "of tomorrow", "tools": [schema, tool]}) is None
    assert others(tools=[search], tool_choice={"type": "openrouter:web_search"}) == ()
    assert others(tools=[search], item={"type": "openrouter:web_search", "id": "x", "status": "completed"}) == ()
    assert others(tools=[schema], item={"type": "local_shell_call", "action": {"env": {"model": "n"}}}) == ()
    quoted = {"type": "function_call_output", "call_id": "c", "output": 'Agent("openrouter:anthropic/claude-sonnet-4")'}
    assert others(tools=[schema], item=quoted) == ()
    assert others(tools=[schema], item={"type": "tool_search_output", "tools": [schema], "x": ["openrouter:y"]}) == ()
    assert others(item={"type": "additional_tools", "tools": [{"type": "openrouter:fusion"}]}) is None
    assert others(plugins=[{"id": "fusion"}]) is None
    assert others(plugins=[{"id": "web", "search_prompt": "y" * 300_000}]) is None
    assert others(plugins=[{"id": "web"}]) == ()


@pytest.mark.timed
@for_each("body", HOSTILE.values(), ids=HOSTILE)
def test_no_large_body_holds_anybody_up(body):
    def longest():
        longest, kept = longest_step(body)
        began = time.thread_time()
        outcome(CHAT_COMPLETIONS.parse_request, kept)
        return max(longest, time.thread_time() - began)

    assert is_within(0.02, longest)


@for_each(("name", "most"), [("halves of pairs", 3), ("characters of every width", 6), ("many parts", 3)])
def test_a_large_body_takes_little_memory_besides_its_own(name, most):
    body = HOSTILE[name]
    tracemalloc.start()
    try:
        CHAT_COMPLETIONS.parse_request(finish(abridged(body)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most * MIB


def longest_step(body):
    steps, longest = abridged(body), 0.0
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as ended:
            return longest, ended.value
        except InvalidRequestError:
            return longest, b"{}"
        finally:
            longest = max(longest, time.thread_time() - began)


@pytest.mark.timed
def test_a_body_of_megabytes_costs_no_more_in_a_piece():
    body = TURNS + b'[{"role":"user","content":"' + rb"\n" * 4 * MIB + rb'\ud83d"}]}'
    tries = []
    assert is_within(0.02, lambda: tries.append(longest_step(body)) or tries[-1][0])
    summary = CHAT_COMPLETIONS.parse_request(tries[-1][1])
    assert summary.user_prompt.prompt == "\n" * MAX_PROMPT
    assert summary.user_prompt.truncated


@for_each("text", ["🚀" * MAX_PROMPT, "é" * (MAX_PROMPT + 1), "\n\ud83d" * MAX_PROMPT, "x🚀" * 9000])
@for_each("ascii_only", [True, False])
def test_a_long_prompt_is_cut_between_characters_like_a_short_one(text, ascii_only):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}, ensure_ascii=ascii_only)
    body = body.encode("utf-8", "replace")
    text = json.loads(body)["messages"][0]["content"].replace("\ud83d", "�")
    prompt = CHAT_COMPLETIONS.parse_request(finish(abridged(body))).user_prompt
    assert (prompt.prompt, prompt.truncated) == (text[:MAX_PROMPT], len(text) > MAX_PROMPT)
    assert MAX_TEXT > MAX_PROMPT


def test_a_text_before_many_images_is_found():
    parts = [{"type": "text", "text": "Look"}, *[{"type": "image", "source": {"data": "x" * 20_000}}] * 40]
    body = json.dumps(
        {
            "model": "m",
            "messages": [*[{"role": "user", "content": "x" * 20_000}] * 99, {"role": "user", "content": parts}],
        }
    )
    assert MESSAGES.parse_request(finish(abridged(body.encode()))).user_prompt.prompt == "Look"


@for_each(
    ("body", "message"),
    [
        (b"[" * (MAX_DEPTH + 2), "request body is nested too deeply"),
        (b'{"a":1' + b" " * MAX_SPACE + b"}", "request body has too much white space in one place"),
        (
            b'{"model":"m","stream":true,"model":"m"}',
            "model is there more than once: parsers differ in which one counts",
        ),
        (b'{"Model":"n","model":"m"}', "model is there more than once: parsers differ in which one counts"),
        (b'{"tools":[],"Tools":[],"model":"m"}', "tools is there more than once: parsers differ in which one counts"),
        (b'{"model":"m","input":[],"Input":5}', "input is there more than once: parsers differ in which one counts"),
        ('{"\u017ftream":0,"stream":1}'.encode(), "stream is there more than once: parsers differ in which one counts"),
        (
            b'{"model":"m","stream_options":{},"Stream_Options":{}}',
            "stream_options is there more than once: parsers differ in which one counts",
        ),
        (rb'{"stream":1,"str\u0065am":0}', "stream is there more than once: parsers differ in which one counts"),
        (b'{"model":"\xff"}', "request body is not valid UTF-8 (after byte 0)"),
        (b'{"model":"m",}', "request body is not valid JSON: JSON is malformed (byte 13)"),
        (b'{"model":"m"', "request body is not valid JSON: input data was truncated"),
        (b'{"model":"m"}{', "request body is not valid JSON: JSON is malformed (byte 13)"),
        (b"", "request body is not valid JSON: input data was truncated"),
    ],
)
def test_what_cannot_be_abridged_is_refused_with_a_reason(body, message):
    with pytest.raises(InvalidRequestError) as raised:
        finish(abridged(body))
    assert str(raised.value) == message


def test_a_body_of_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(json_walk, "MAX_STEPS", 2000)
    with pytest.raises(InvalidRequestError, match="request body has too many values"):
        finish(abridged(TURNS + b"[" + (b"[" * 500 + b"]" * 500 + b",") * 4 + b"0]}"))
