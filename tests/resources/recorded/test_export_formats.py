import csv
import io
import re

import bson
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from intercept.records import ModelResponse, ModelThought, ProviderError, Reading, ToolUsage, Try, UserPrompt
from resources.recorded.export_formats import COLUMNS, FORMATS, FORMULA_STARTS
from resources.recorded.interceptions import Interception, without_texts
from storage.recording.documents import ending_fields, start_document
from storage.recording.operations import encoded
from tests.cases import for_each
from tests.processor import is_linear
from tests.storage import any_records
from tests.storage.any_records import endings, interceptions
from tests.storage.records import ADA, INSTANCE, as_json, ending, interception, kept

RECORDED = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)

NUMBER = re.compile(r"-\d+")


def resource(start=None, end=None):
    """An interception as the API shows it."""
    started = start_document(start or interception(), instance_id=INSTANCE)
    ended = ending_fields(end or ending())
    # As the database gives it back: half a surrogate pair, for example, is replaced.
    document = bson.decode(encoded(started | ended), RECORDED)
    return Interception.of(document, {ADA.id: ADA})


def table(*interceptions):
    """CSV as a program reads it."""
    text = (FORMATS["csv"].head + FORMATS["csv"].rows(interceptions)).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_csv_is_that_of_rfc_4180():
    head, row, rest = (
        (FORMATS["csv"].head + FORMATS["csv"].rows([resource(interception(user_agent='say "hi", you\nall'))]))
        .decode()
        .split("\r\n")
    )
    assert head == ",".join(f'"{name}"' for name in COLUMNS)
    assert ',"say ""hi"", you\nall",' in row
    assert row.count('","') == len(COLUMNS) - 1
    assert rest == ""


@for_each(
    ("text", "cell"),
    ("=1+1", "'=1+1"),
    ("+1+1", "'+1+1"),
    ("-1+1", "'-1+1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1", "'\t'=1"),
    ("\r=1", "'\r'=1"),
    ("\n=1", "'\n'=1"),
    ("\ttext", "'\ttext"),
    ("  =1", "'  =1"),
    ("\xa0\u3000=1", "'\xa0\u3000=1"),
    ("\ufeff\u200b=1", "'\ufeff\u200b=1"),
    ("\0=1", "'\0=1"),
    ('"=1"', '\'"=1"'),
    ("\uff1d1+1", "'\uff1d1+1"),
    ("\uff0b1", "'\uff0b1"),
    ("\uff0d1", "'\uff0d1"),
    ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
    ("a;=1", "a;'=1"),
    ('a; "=1', "a;' \"=1"),
    ("a;;-1;@b", "a;;'-1;'@b"),
    ("a\t=1", "a\t'=1"),
    ("a\r=1", "a\r'=1"),
    ("a\r\n=1", "a\r\n'=1"),
    ("a\n\uff1d1", "a\n'\uff1d1"),
    ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
    ('=HYPERLINK("http://evil.example","click")', '\'=HYPERLINK("http://evil.example","click")'),
)
def test_no_cell_is_a_formula(text, cell):
    (row,) = table(resource(interception(user_prompt=UserPrompt(prompt=text), model=text, user_agent=text)))
    assert [row[name].replace("\0", "") for name in ("prompt", "model", "user_agent")] == [cell.replace("\0", "")] * 3


@for_each("unit", "\t", "\n ", ";", '"', "\t=", "\r")
def test_work_on_a_cell_is_linear(unit):
    one = {size: resource(interception(user_agent=unit * size)) for size in (1 << 15, 1 << 17)}
    assert is_linear(lambda size: FORMATS["csv"].rows([one[size]]), 1 << 15)


@given(st.lists(st.builds(resource, any_records.interceptions, any_records.endings), max_size=4))
def test_whatever_is_recorded_is_read_as_it_was_written_and_never_as_a_formula(interceptions):
    rows = table(*interceptions)
    assert [row["id"] for row in rows] == [str(one.id) for one in interceptions]
    for row, one in zip(rows, interceptions, strict=True):
        assert set(row) == set(COLUMNS)
        assert not any(cell.startswith(tuple(FORMULA_STARTS)) and not NUMBER.fullmatch(cell) for cell in row.values())
        assert row["model"].replace("'", "") == one.model.replace("'", "")
    lines = FORMATS["ndjson"].rows(interceptions).splitlines()
    assert [msgspec.json.decode(line) for line in lines] == [
        msgspec.json.decode(msgspec.json.encode(one)) for one in interceptions
    ]


WORD = "xylophone"


def document(start, end):
    return kept(start_document(start, instance_id=INSTANCE) | ending_fields(end))


def test_texts_are_empty_and_said_to_be_withheld_and_all_else_stays():
    tool = {"provider_response_id": "r", "provider_tool_call_id": "t", "tool": "Bash", "invocation_error": WORD}
    whole = document(
        interception(user_prompt=UserPrompt(prompt=WORD, synthetic=True)),
        ending(
            error=ProviderError(type="invalid_request_error", message=f"{WORD} is not allowed"),
            tries=(Try(provider_name="a", error=ProviderError(type="x", message=WORD)), Try(provider_name="b")),
            reading=Reading(
                tool_usages=(ToolUsage(input=f'{{"a": "{WORD}"}}', truncated=True, **tool),),
                model_thoughts=(ModelThought(content=WORD, source="thinking"),),
                response=ModelResponse(text=WORD, truncated=True),
            ),
        ),
    )
    seen = as_json(Interception.of, whole, {ADA.id: ADA})
    figures = as_json(Interception.of, without_texts(whole), {ADA.id: ADA})
    seen["user_prompts"][0] |= {"prompt": "", "metadata": {"synthetic": True, "withheld": True}}
    seen["tool_usages"][0] |= {"input": "", "invocation_error": "", "metadata": {"truncated": True, "withheld": True}}
    seen["model_thoughts"][0] |= {"content": "", "metadata": {"source": "thinking", "withheld": True}}
    seen["response"] = {"text": "", "metadata": {"truncated": True, "withheld": True}}
    seen["tries"][0]["error"] = {"type": "x", "message": ""}
    seen["error"] = {"type": "invalid_request_error", "message": ""}
    assert figures == seen
    assert WORD not in repr(figures)


@given(interceptions, endings)
def test_no_record_shows_a_text_to_readers(start, end):
    figures = as_json(Interception.of, without_texts(document(start, end)), {})
    texts = [
        *(prompt["prompt"] for prompt in figures["user_prompts"]),
        *(tool["input"] for tool in figures["tool_usages"]),
        *(thought["content"] for thought in figures["model_thoughts"]),
        (figures["response"] or {"text": ""})["text"],
        (figures["error"] or {"message": ""})["message"],
    ]
    assert set(texts) <= {""}
