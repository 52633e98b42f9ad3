import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from intercept.catalog import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from intercept.conversations import KEY_BYTES, MAX_COMPARED_CHARACTERS, MAX_SCANNED, conversation_id
from intercept.dialects.drafts import MAX_NAME
from tests.cases import for_each

APIS = {"messages": (CHAT_COMPLETIONS, MESSAGES), "input": (RESPONSES,)}
CASES = [pytest.param(api, name, id=api.name) for name, apis in APIS.items() for api in apis]
SYSTEM = {"role": "system", "content": "Be brief."}
ID = "0198c5a2-7f2e-7c1b-9d1f-6b8b2c0f7e55"
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def read(api, name, items, **members):
    return api.parse_request(json.dumps({"model": "m", name: items} | members).encode()).conversation


def read_chat(*items):
    return read(CHAT_COMPLETIONS, "messages", items)


@pytest.mark.parametrize(("api", "name"), CASES)
@given(said=st.lists(st.tuples(words, words), min_size=1, max_size=5), system=st.booleans())
def test_each_request_of_a_growing_conversation_continues_the_one_before(api, name, said, system):
    items, before = [SYSTEM] * system, None
    for question, response in said:
        items.append(user(question))
        now = read(api, name, items)
        assert now.continues == before
        assert len(now.key) == KEY_BYTES
        before = now.key
        items.append(assistant(response))


@pytest.mark.parametrize(("api", "name"), CASES)
@given(one=st.tuples(words, words), other=st.tuples(words, words))
def test_nothing_else_is_continued(api, name, one, other):
    def conversation(said, *more):
        first, second = said
        return read(api, name, [user(first), assistant("Yes."), user(second), *more])

    continues = conversation(other, assistant("No."), user("?")).continues
    assert (conversation(one).key == continues) is (one == other)


@pytest.mark.parametrize(("api", "name"), CASES)
@pytest.mark.parametrize("turns", [1, 9, 200])
def test_a_large_body_continues_what_a_small_one_would(api, name, turns):
    items = [SYSTEM, *(turn for n in range(turns) for turn in (user(f"{n}?"), assistant("x"))), user("Go on.")]
    padding = "x" * (3 * 2**20 // (turns + 1))
    large = [item | {"content": item["content"].replace("x", padding)} for item in items]
    body = json.dumps({"model": "m", name: large, "stream": True}).encode()
    assert api.parse_request(body).conversation == read(api, name, items)
    assert read(api, name, items).continues


@for_each(
    ("content", "same"),
    ([{"type": "text", "text": "Hi"}], True),
    ([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}], True),
    ([{"type": "image", "source": {}}, {"type": "text", "text": "Hi"}], True),
    ([{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}], False),
    ("Hi ", False),
)
def test_a_message_is_known_by_its_text(content, same):
    plain = read(MESSAGES, "messages", [user("Hi")])
    assert (read(MESSAGES, "messages", [{"role": "user", "content": content}]) == plain) is same


def test_an_input_of_one_text_is_one_message():
    assert read(RESPONSES, "input", "Hi") == read(RESPONSES, "input", [user("Hi")])
    assert read(RESPONSES, "input", [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]) == read(
        RESPONSES, "input", "Hi"
    )


def test_answers_to_tool_calls_are_messages_too():
    called = {"role": "assistant", "tool_calls": [{"id": "c1"}, {"id": "c2"}]}
    results = [{"role": "tool", "tool_call_id": id_, "content": "noon"} for id_ in ("c1", "c2")]
    requested = read_chat(user("Time?"))
    answered = read_chat(user("Time?"), called, *results)
    assert answered.continues == requested.key
    assert read_chat(user("Time?"), called, *results, assistant("Noon."), user("Thanks")).continues == answered.key
    assert read_chat(user("Time?"), called, *reversed(results)).key != answered.key


def test_what_the_model_thought_and_called_is_no_message_of_the_client():
    steps = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "noon"},
    ]
    answered = read(RESPONSES, "input", [user("Time?"), *steps])
    assert answered.continues == read(RESPONSES, "input", "Time?").key
    end = [{"type": "message", "role": "assistant", "content": []}, user("Thanks")]
    assert read(RESPONSES, "input", [user("Time?"), *steps, *end]).continues == answered.key


def test_a_tool_result_of_messages_is_known_by_its_call():
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}
    answered = [user("Time?"), assistant([{"type": "tool_use", "id": "toolu_1"}]), user([result])]
    later = [*answered, assistant("Noon."), user("Thanks")]
    assert read(MESSAGES, "messages", later).continues == read(MESSAGES, "messages", answered).key


def test_what_the_program_says_for_itself_changes_nothing():
    plain = read_chat(user("Hi"), assistant("Hello"), user("How are you?"))
    assert plain == read_chat(SYSTEM, user("Hi"), SYSTEM, assistant("Hello"), user("How are you?"), SYSTEM)


def test_a_beginning_of_the_answer_is_not_an_answer():
    assert read_chat(user("Hi"), assistant("{")) == read_chat(user("Hi"))


def test_two_messages_without_an_answer_between_continue_nothing():
    assert read_chat(user("Hi"), user("Hello?")).continues is None


@for_each(
    "items",
    [],
    [SYSTEM],
    [assistant("Hi")],
    [SYSTEM] * 9 + [user("Hi")],
    [user([{"type": "image_url"}])],
    [user("")],
    [7, user("Hi")],
    [{"role": ["user"]}, user("Hi")],
)
def test_a_conversation_without_a_first_text_of_the_user_is_not_known(items):
    assert read_chat(*items) is None


def test_only_so_much_of_a_conversation_is_looked_at():
    thoughts = [{"type": "reasoning", "summary": []}] * (MAX_SCANNED - 2)
    key = read(RESPONSES, "input", "Hi").key
    assert read(RESPONSES, "input", [user("Hi"), *thoughts, user("?")]).continues == key
    assert read(RESPONSES, "input", [user("Hi"), *thoughts, thoughts[0], user("?")]).continues is None


def test_only_so_much_of_a_text_counts():
    begins = "x" * MAX_COMPARED_CHARACTERS
    assert read_chat(user(begins)) == read_chat(user(begins + "y"))
    assert read_chat(user(begins)) != read_chat(user(begins[:-1] + "y"))


@for_each(
    ("conversation", "cache_key", "id_"),
    ("conv_1", None, "conv_1"),
    ({"id": "conv_1"}, None, "conv_1"),
    ("conv_1", ID, "conv_1"),
    ("c" * 999, None, "c" * MAX_NAME),
    (None, ID, ID),
    (None, ID.upper(), ID.upper()),
    (" ", ID, ID),
    ({"id": 7}, None, None),
    (None, "my-app-v1", None),
    (None, ID.replace("-", ""), None),
    (None, f"{{{ID}}}", None),
    (None, f"app-{ID}", None),
    (None, 7, None),
    (None, None, None),
)
def test_a_body_names_its_conversation_by_an_id_or_a_uuid_as_cache_key(conversation, cache_key, id_):
    assert conversation_id(*[Raw(json.dumps(one).encode()) for one in (conversation, cache_key)]) == id_


@given(cache_key=st.uuids().map(str))
def test_a_cache_key_that_is_a_uuid_is_read_of_both_apis(cache_key):
    for api, members in ((CHAT_COMPLETIONS, {}), (RESPONSES, {"input": "Hi"})):
        body = json.dumps({"model": "m", "prompt_cache_key": cache_key} | members).encode()
        assert UUID(api.parse_request(body).conversation_id) == UUID(cache_key)


def test_a_response_that_is_gone_on_from_is_read():
    def read_id(value):
        body = json.dumps({"model": "m", "input": "Hi", "previous_response_id": value}).encode()
        return RESPONSES.parse_request(body).previous_response_id

    assert [read_id(value) for value in ("resp_1", "", None, 7, "r" * 999)] == [
        "resp_1",
        None,
        None,
        None,
        "r" * MAX_NAME,
    ]
