import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import InvalidRequestError
from intercept.formats.form_data import MAX_FIELD, MAX_PARTS, FormFields, is_form, read_fields
from tests.cases import for_each

DISPOSITION = b"Content-Disposition: form-data;"
TYPE = 'multipart/form-data; boundary="b"'


def part(name, value, extra=b""):
    return b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, extra, value)


def headed(*lines):
    """A form with an allowed model, and a part with these headers, which some parsers read as another one."""
    return form(part(b"model", b"a"), b"--b\r\n" + b"\r\n".join(lines) + b"\r\n\r\nother\r\n")


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


@for_each(
    ("body", "content_type"),
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
    (form(part(b"model", b"a")), "multipart/form-data; boundary=b; boundary=c"),
    (form(part(b"model", b"a")), f"multipart/form-data; boundary*{'9' * 5000}=b"),
    (headed(DISPOSITION + b" name*=utf-8''model"), TYPE),
    (headed(DISPOSITION + b' name="x"; name="model"'), TYPE),
    (headed(DISPOSITION + b' name="x"', DISPOSITION + b' name="model"'), TYPE),
    (headed(DISPOSITION + b' name="x"\n' + DISPOSITION + b' name="model"'), TYPE),
    (headed(DISPOSITION, b' name="model"'), TYPE),
    (headed(b"X: y\r" + DISPOSITION + b' name="model"'), TYPE),
    (headed(DISPOSITION + b" name*" + b"9" * 5000 + b'="x"'), TYPE),
    (headed(DISPOSITION + rb' x="\\"; name="model"'), TYPE),
    (headed(DISPOSITION + rb' name="x"; y="\"; name="model"'), TYPE),
    (headed(DISPOSITION + rb' name="x"; y="\\"; name="model"'), TYPE),
    (headed(DISPOSITION + rb' name="mo\del"'), TYPE),
    (headed(DISPOSITION + b' name="model"x'), TYPE),
    (headed(DISPOSITION + b" x='name=model'; name=y"), TYPE),
    (form(part(b"model", b"a")), r'multipart/form-data; x="\\"; boundary=c; y="\\"; boundary=b'),
    (form(part(b"model", b"a=2Db", b"\r\nContent-Transfer-Encoding: quoted-printable")), TYPE),
    (form(part(b"model", b"YQ==", b"\r\ncontent-transfer-encoding : BASE64")), TYPE),
    (form(part(b"model", b"a", b"\r\nContent-Encoding: deflate")), TYPE),
    (form(part(b"model", b"a+AC0-b", b"\r\nContent-Type: text/plain; charset=utf-7")), TYPE),
    (form(part(b"_charset_", b"utf-7"), part(b"model", b"a+AC0-b")), TYPE),
)
def test_a_form_that_others_may_read_differently_is_refused(body, content_type):
    with pytest.raises(InvalidRequestError):
        read_fields(body, content_type, ("model",))


def test_a_file_may_have_a_name_in_any_letters_and_headers_of_its_own():
    named = b"; filename=\"na*me.txt\"; filename*=utf-8''na%CC%88me"
    named += b"\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64"
    of_field = b"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit"
    body = form(part(b"file", b"x", named), part(b"model", b"m", of_field))
    assert read_fields(body, TYPE, ("model",)) == {"model": "m"}


@for_each(
    "disposition",
    b'form-data; name="model"',
    b"form-data; name=model",
    b"form-data;name=model ;x=y",
    b'FORM-DATA; NAME="model"; x="name"',
    b'form-data; filename="a.txt"; name="model"',
    rb'form-data; name="model"; filename="a \"name\" is \\ b; c=d.txt"',
    b'form-data; name="model"; filename="download?name=x.pdf"',
    b"form-data; name=model; filename=a.txt; filename*=utf-8''a.txt",
)
def test_a_field_is_found_in_whatever_way_clients_write_its_name(disposition):
    body = form(b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\nm\r\n")
    for boundary in ("b", '"b"', 'b; charset="utf-8"'):
        assert read_fields(body, f"multipart/form-data; boundary={boundary}", ("model",)) == {"model": "m"}


def test_the_content_type_of_a_form_is_known_with_its_parameters():
    assert is_form("Multipart/Form-Data ; boundary=x")
    assert not is_form("application/json")


def read_in_pieces(body, size):
    fields, files = FormFields(TYPE, ("model", "stream")), []
    for at in range(0, len(body), size):
        fields.feed(body[at : at + size])
        files.append(fields.in_file)
    return fields.found, fields.has_ended, files[-1]


@given(st.integers(1, 40), st.lists(st.binary(max_size=60), max_size=3), st.integers(0, 3), st.binary(max_size=9))
def test_the_fields_are_the_same_however_the_form_is_cut(size, files, at, epilogue):
    parts = [part(b"file", data.replace(b"--b", b""), b'; filename="x"') for data in files]
    parts.insert(at, part(b"model", "Gr\u00fc\u00dfe".encode()))
    assert read_in_pieces(form(*parts) + epilogue, size) == ({"model": "Gr\u00fc\u00dfe"}, True, True)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_what_is_refused_whole_is_refused_in_pieces(data, size):
    body = b"--b\r\n" + data
    outcomes = []
    for pieces in (len(body), size):
        try:
            outcomes.append(read_in_pieces(body, pieces))
        except InvalidRequestError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_a_file_is_not_held_and_a_field_is_held_as_far_as_it_counts():
    fields = FormFields(TYPE, ("model",))
    fields.feed(b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n')
    assert (fields.in_file, fields.has_ended) == (True, False)
    for _ in range(100):
        fields.feed(b"x" * 2**16)
        assert len(fields._buffer) < 16
    fields.feed(b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n')
    for _ in range(100):
        fields.feed(b"x" * 2**10)
        assert len(fields._value) < 2 * MAX_FIELD + 16
    with pytest.raises(InvalidRequestError, match="too long"):
        fields.feed(b"\r\n--b--")
