from __future__ import annotations

from urllib.parse import quote, unquote

from hypothesis import example, given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.routes.paths import find_fault


@for_each(
    "path",
    [
        "/v1/models/gpt-5",
        "/v1/models/ft:gpt-4o:org::abc",
        "/v1/models/org%2Fmodel",
        "/v1/models/gr%C3%BC%C3%9Fe",
        "/v1/models/a%20b",
        "/v1/models/a+b,c=d",
        "/v1/models/...",
        "/v1/models/.hidden",
    ],
)
def test_a_whole_path_has_no_fault(path):
    assert find_fault(path) == ""


@for_each(
    ("path", "fault"),
    [
        ("//v1/models", "an empty segment"),
        ("/v1//models", "an empty segment"),
        ("/v1/models/", "an empty segment"),
        ("/v1/models/../x", "a segment `.` or `..`"),
        ("/v1/models/.", "a segment `.` or `..`"),
        ("/v1/models/..;/x", "characters that are not allowed there"),
        ("/v1/models/a;b", "characters that are not allowed there"),
        ("/v1/models/a#b", "characters that are not allowed there"),
        ("/v1/models/a\\..\\b", "characters that are not allowed there"),
        ("/v1/models/a%2", "characters that are not allowed there"),
        ("/v1/models/\xe9", "characters that are not allowed there"),
        ("/v1/models/%00", "percent-encoded characters that are not allowed there"),
        ("/v1/models/%2e%2e;", "characters that are not allowed there"),
        ("/v1/models/%2e%2e%3b", "percent-encoded characters that are not allowed there"),
        ("/v1/models/%0d%0aX", "percent-encoded characters that are not allowed there"),
        ("/v1/models/%252e%252e", "percent-encoded characters that are not allowed there"),
        ("/v1/models/..%5cx", "percent-encoded characters that are not allowed there"),
        ("/v1/models/a%23b", "percent-encoded characters that are not allowed there"),
        ("/v1/models/%2e%2e/x", "an encoded segment that is empty, `.` or `..`"),
        ("/v1/models/..%2Fx", "an encoded segment that is empty, `.` or `..`"),
        ("/v1/models/a%2F%2Fb", "an encoded segment that is empty, `.` or `..`"),
        ("/v1/models/a%2F", "an encoded segment that is empty, `.` or `..`"),
        ("/v1/models/%FF", "percent-encoded bytes that are not UTF-8"),
    ],
)
def test_a_path_that_might_mean_another_one_is_told_why_it_is_not_served(path, fault):
    assert find_fault(path) == fault


@given(st.text(alphabet="/.%2eEfF5cC\\a;#0", max_size=30))
@example("/%2E%2E")
def test_whoever_decodes_a_served_path_finds_the_same_segments(rest):
    path = "/v1/" + rest
    if find_fault(path):
        return
    decoded = unquote(path, errors="strict")
    assert unquote(decoded) == decoded
    assert not {"", ".", ".."} & {*decoded.split("/")[1:]}
    assert not set("\\;#?%\0") & set(decoded)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
@example(["org/model"])
@example(["org/", "a//b"])
def test_names_without_odd_characters_are_served_when_they_are_encoded(names):
    unfit = any(set(name) & set("%;\\#?\x7f") or min(name) < " " for name in names)
    odd = unfit or any({"", ".", ".."} & {*name.split("/")} for name in names)  # a name may have a slash: `org/model`
    surrogates = any("\ud800" <= character <= "\udfff" for name in names for character in name)
    if not surrogates:
        assert bool(find_fault("/" + "/".join(quote(name, safe="") for name in names))) is odd
