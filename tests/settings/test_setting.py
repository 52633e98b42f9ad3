from dataclasses import dataclass

import pytest

from settings.kinds import KEYS, LIMIT, MONGODB_URI
from settings.setting import Setting, SettingError, declare

PLAIN = Setting("rate-limit", "Topic", LIMIT, "7", "Help.")
SECRET = Setting(
    "openai-key", "Topic", KEYS, "", "Help.", secret=True, environment_only=True, fallback="OPENAI_API_KEY"
)
URI = Setting("mongodb-uri", "Topic", MONGODB_URI, "", "Help.", secret=True)


def refusal(setting, flags=None, environ=None):
    with pytest.raises(SettingError) as caught:
        setting.read(flags or {}, environ or {})
    assert caught.value.exit_code == 2
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value.message


def test_an_empty_variable_counts_as_unset_and_an_empty_flag_does_not():
    assert PLAIN.read({}, {"AIBRIDGE_RATE_LIMIT": ""}) == 7
    assert URI.read({"mongodb-uri": ""}, {"AIBRIDGE_MONGODB_URI": "mongodb://host"}) == ""


def test_a_bad_value_is_refused_in_one_line_naming_setting_value_and_what_is_allowed():
    assert refusal(PLAIN, environ={"AIBRIDGE_RATE_LIMIT": "many\nmore"}) == (
        "AIBRIDGE_RATE_LIMIT: 'many\\nmore' is not allowed; give a whole number, 0 (off) or more"
    )
    assert refusal(PLAIN, {"rate-limit": "-1"}) == (
        "--rate-limit: '-1' is not allowed; give a whole number, 0 (off) or more"
    )


def test_a_declared_field_has_the_parsed_default_and_hides_a_secret():
    @dataclass(frozen=True)
    class Declared:
        needed: int = declare("Topic", LIMIT, None, "Help.")
        plain: int = declare("Topic", LIMIT, "7", "Help.")
        secret: tuple[str, ...] = declare("Topic", KEYS, "sk", "Help.", secret=True)

    assert repr(Declared(1)) == f"{Declared.__qualname__}(needed=1, plain=7)"
    assert Declared(1).secret == ("sk",)


def test_a_bad_secret_is_not_repeated():
    assert refusal(SECRET, environ={"OPENAI_API_KEY": "sk with spaces"}) == (
        "OPENAI_API_KEY: the value given is not allowed; give printable ASCII keys without spaces, separated by commas"
    )
    assert refusal(URI, {"mongodb-uri": "http://ada:secret@host"}) == (
        "--mongodb-uri: 'http://***@host' is not allowed; give a URI that starts with mongodb:// or mongodb+srv://"
    )


def test_a_flag_wins_over_a_file_that_is_not_even_read():
    flags, environ = {"mongodb-uri": "mongodb://host"}, {"AIBRIDGE_MONGODB_URI_FILE": "/nowhere"}
    assert URI.read(flags, environ) == "mongodb://host"


def test_a_bad_secret_in_a_file_is_blamed_on_the_file_and_not_repeated(tmp_path):
    (tmp_path / "key").write_text("sk with spaces")
    assert refusal(SECRET, environ={"AIBRIDGE_OPENAI_KEY_FILE": str(tmp_path / "key")}) == (
        "AIBRIDGE_OPENAI_KEY_FILE: the value given is not allowed; "
        "give printable ASCII keys without spaces, separated by commas"
    )


def test_the_long_prefix_is_read_like_the_short_one(tmp_path):
    (tmp_path / "key").write_text("sk-file\n")
    assert PLAIN.read({}, {"CODER_AIBRIDGE_RATE_LIMIT": "9"}) == 9
    assert PLAIN.read({}, {"AIBRIDGE_RATE_LIMIT": "9", "CODER_AIBRIDGE_RATE_LIMIT": " 9"}) == 9
    assert SECRET.read({}, {"CODER_AIBRIDGE_OPENAI_KEY": "sk", "OPENAI_API_KEY": "sk-vendor"}) == ("sk",)
    assert SECRET.read({}, {"CODER_AIBRIDGE_OPENAI_KEY_FILE": str(tmp_path / "key")}) == ("sk-file",)
    said = refusal(PLAIN, environ={"CODER_AIBRIDGE_RATE_LIMIT": "x"})
    assert said.startswith("CODER_AIBRIDGE_RATE_LIMIT: 'x' is not allowed")


def test_two_prefixes_with_two_values_are_refused_without_a_word_of_them():
    environ = {"AIBRIDGE_OPENAI_KEY": "sk-one", "CODER_AIBRIDGE_OPENAI_KEY": "sk-two"}
    assert refusal(SECRET, environ=environ) == (
        "AIBRIDGE_OPENAI_KEY and CODER_AIBRIDGE_OPENAI_KEY are both set and differ; give one of them"
    )
    environ = {"CODER_AIBRIDGE_OPENAI_KEY": "sk-one", "AIBRIDGE_OPENAI_KEY_FILE": "/key"}
    assert refusal(SECRET, environ=environ) == (
        "CODER_AIBRIDGE_OPENAI_KEY and AIBRIDGE_OPENAI_KEY_FILE are both set; give one of them"
    )


@pytest.mark.parametrize(
    ("name", "reason"), [("absent", "No such file or directory"), (".", "Is a directory"), ("binary", "not UTF-8 text")]
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path, name, reason):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    path = str(tmp_path / name)
    assert refusal(SECRET, environ={"AIBRIDGE_OPENAI_KEY_FILE": path}) == (
        f"AIBRIDGE_OPENAI_KEY_FILE: {path!r} cannot be read ({reason}); give a readable file"
    )


def test_a_secret_falls_back_to_the_vendors_own_variable():
    assert SECRET.read({}, {"OPENAI_API_KEY": "sk-vendor"}) == ("sk-vendor",)
    assert SECRET.read({}, {"OPENAI_API_KEY": "sk-vendor", "AIBRIDGE_OPENAI_KEY": "sk-own"}) == ("sk-own",)
