from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import InvalidRequestError
from intercept.formats.form_data import MAX_PARTS, is_form, read_fields

TYPE = 'multipart/form-data; boundary="b"'


def part(name, value, extra=b""):
    return b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, extra, value)


def form(*parts):
    return b"".join([*parts, b"--b--\r\n"])


@given(st.lists(st.tuples(st.sampled_from([b"file", b"other"]), st.binary(max_size=60)), max_size=4), st.integers(0, 4))
def test_the_fields_are_found_wherever_they_stand_among_files(files, at):
    parts = [part(name, data.replace(b"--b", b""), b'; filename="model"') for name, data in files]
    parts.insert(at, part(b"model", b"whisper-1"))
    for body in form(*parts), bytearray(form(*parts)):
        assert read_fields(body, TYPE, ("model", "stream")) == {"model": "whisper-1"}


def test_what_looks_like_a_field_within_a_file_is_none():
    inner = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n--x--'
    assert read_fields(form(part(b"file", inner), part(b"model", b"m")), TYPE, ("model",)) == {"model": "m"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(part(b"model", b"a"), part(b"model", b"b")), TYPE),
        (form(part(b"model", b"a")), "multipart/form-data"),
        (form(part(b"model", b"a")), "multipart/form-data; boundary=c"),
        (form(part(b"model", b"a")), "multipart/form-data; boundary=" + "b" * 71),
        (part(b"model", b"a"), TYPE),
        (form(part(b"model", b"a")).replace(b"\r\n", b"\n"), TYPE),
        (form(part(b"model", b"a" * 1025)), TYPE),
        (form(part(b"model", b"\xff")), TYPE),
        (b"--bc\r\n\r\n--b--", TYPE),
        (form(*[part(b"a", b"")] * (MAX_PARTS + 1)), TYPE),
        (b"--b\r\n" + b"x" * 9000 + form(), TYPE),
        (b"", TYPE),
    ],
)
def test_a_form_that_others_may_read_differently_is_refused(body, content_type):
    with pytest.raises(InvalidRequestError):
        read_fields(body, content_type, ("model",))


@given(st.binary(max_size=200))
def test_whatever_comes_it_is_read_or_refused(data):
    with suppress(InvalidRequestError):
        assert isinstance(read_fields(b"--b\r\n" + data, TYPE, ("model",)), dict)


def test_the_content_type_of_a_form_is_known_with_its_parameters():
    assert is_form("Multipart/Form-Data ; boundary=x")
    assert not is_form("application/json")
