from hypothesis import given
from hypothesis import strategies as st

from intercept.secrets.redaction import MAX_TEXT, redact
from tests.cases import for_each
from tests.processor import TRIES, seconds_of


@for_each(
    ("text", "left"),
    [
        ("write to ada.lovelace+x@mail.example.com.", "write to [redacted]."),
        ("a@b, @x.de, x@y, a@b.c, 5@2x.png.", "a@b, @x.de, x@y, a@b.c, [redacted]."),
        ("4111 1111 1111 1111, 4111-1111-1111-1111 and 378282246310005", "[redacted], [redacted] and [redacted]"),
        ("4111 1111 1111 1112 and 41111111111111111111", "4111 1111 1111 1112 and 41111111111111111111"),
        ("4111 1111 1111 1111 12/28, 4111111111111111 123", "[redacted] 12/28, [redacted] 123"),
        ("2026-11-28 4111 1111 1111 1111, 3782 822463 10005 1228", "2026-11-28 [redacted], [redacted] 1228"),
        ("until 12/2029 4111-1111-1111-1111", "until 12/2029 [redacted]"),
        ("at 1700000000000 ms, id 6011000990139424", "at 1700000000000 ms, id [redacted]"),
        ("key sk-proj-abcdefghijklmnopqrstuvwx of OpenAI", "key [scrubbed] of OpenAI"),
        ("AKIAIOSFODNN7EXAMPLE1", "[scrubbed]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "jwt [scrubbed]"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----", "[scrubbed]"),
        ('{"path": "x", "password": "hunter2 and more"}', '{"path": "x", "password": "[scrubbed]"}'),
        ("nothing to see", "nothing to see"),
    ],
)
def test_what_has_the_form_of_a_secret_is_taken_out(text, left):
    assert redact(text) == left


def test_own_patterns_see_the_text_as_it_was_written():
    assert redact("EMP-12345 a@b.example", [r"EMP-\d{5}", "a@b"]) == "[redacted] [redacted].example"


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text):
    once = redact(text)
    assert redact(once) == once


@for_each("piece", ["a", "a@", "x@a.", "4", "4 ", "a@a.a@", "4111111111111112 ", "4112 ", "-@.", "1-1 1"])
def test_a_hostile_text_takes_time_by_its_length(piece):
    def seconds(length):
        text = (piece * length)[:length]
        return seconds_of(lambda: redact(text))

    assert any(seconds(MAX_TEXT) < 60 * max(seconds(MAX_TEXT // 8), 0.001) for _ in range(TRIES))
