from __future__ import annotations

import pytest
from msgspec import Raw

from intercept.items import MAX_SKIPPED_ITEMS, Items


@pytest.mark.parametrize(
    ("items", "last"),
    [
        ([b'{"a":1}', b'{"b":[2]}'], {"b": [2]}),
        ([b'{"a":1}', b'"text"'], {}),
        ([b'"\xff"', b'{"b":"\\ud83d\xff"}'], {"b": "��"}),
        ([], {}),
    ],
)
def test_the_last_item_of_a_conversation_is_its_last_message(items, last):
    assert Items(list(map(Raw, items))).last_message() == last


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_program_s_own_messages_behind_the_user_s_are_looked_past(role):
    items = [Raw(b'{"role":"user","content":"Hello"}'), *[Raw(b'{"role":"%s"}' % role.encode())] * MAX_SKIPPED_ITEMS]
    assert Items(items).last_message() == {"role": "user", "content": "Hello"}
    assert Items([*items, items[-1]]).last_message() == {}


def test_another_s_message_is_the_last_message():
    items = [Raw(b'{"role":"%s"}' % role) for role in (b"user", b"assistant", b"system")]
    assert Items(items).last_message() == {"role": "assistant"}


def test_an_item_is_decoded_once():
    items = Items([Raw(b'{"a":1}')])
    assert items[0] is items[0]
