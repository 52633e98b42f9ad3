"""When a form that arrives may go to the provider, and which one never may. See also `bodies/test_streamed_forms.py`."""

from __future__ import annotations

import pytest

from handlers.dataplane.incoming_form import MODEL_BEHIND_FILE, IncomingForm, Stage
from handlers.problems import Problem
from intercept.formats.form_data import NO_END
from intercept.refusals import Rule
from tests.cases import for_each

FIELD = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\nm\r\n'
MODEL, PROMPT, FILE = FIELD % (b"model", b""), FIELD % (b"prompt", b""), FIELD % (b"file", b'; filename="a.wav"')
END = b"--b--\r\n"
LARGE = 10_000


def arriving(*, reads_fields=True, needs_model=True, max_bytes=LARGE, max_held_bytes=LARGE):
    return IncomingForm(
        "multipart/form-data; boundary=b",
        None,
        reads_fields=reads_fields,
        needs_model=needs_model,
        max_bytes=max_bytes,
        max_held_bytes=max_held_bytes,
    )


def refusal(call, *args):
    with pytest.raises(Problem) as refused:
        call(*args)
    return refused.value.status, refused.value.message, refused.value.rule


@pytest.mark.gen_test
async def test_a_form_may_go_once_its_model_is_known_and_its_files_begin():
    for needs_model, body, stage in (
        (True, MODEL + FILE, Stage.READY),
        (True, FILE + PROMPT + MODEL + PROMPT, Stage.READY),
        (True, MODEL + END, Stage.READY),
        (True, MODEL + PROMPT, Stage.HELD),
        (True, FILE + PROMPT, Stage.HELD),
        (True, FILE + END, Stage.HELD),
        (False, FILE, Stage.READY),
        (False, PROMPT, Stage.HELD),
    ):
        for size in (1, 7, len(body)):
            form = arriving(needs_model=needs_model)
            for at in range(0, len(body), size):
                form.feed(body[at : at + size])
            assert (form.stage, form.stream.held_bytes) == (stage, len(body)), (body, size)
            assert form.found.get("model") == ("m" if MODEL in body else None), (body, size)


@pytest.mark.gen_test
async def test_a_form_that_nobody_reads_may_go_at_once_and_need_be_none():
    form = arriving(reads_fields=False)
    assert (form.stage, form.found) == (Stage.READY, {})
    form.feed(b"no form")
    form.end()


@pytest.mark.gen_test
async def test_a_form_has_bounds_and_what_waits_for_its_model_has_its_own():
    form = arriving(max_bytes=len(FILE) + 5, max_held_bytes=len(FILE) + 2)
    form.feed(FILE[:-2] + b"x" * 4)
    assert refusal(form.feed, b"x") == (413, MODEL_BEHIND_FILE.format(len(FILE) + 2), Rule.BODY_TOO_LARGE)
    form = arriving(needs_model=False, max_bytes=len(FILE) + 5, max_held_bytes=0)
    form.feed(FILE + b"x" * 5)
    message = f"The request body is larger than the allowed {len(FILE) + 5} bytes."
    assert refusal(form.feed, b"x") == (413, message, Rule.BODY_TOO_LARGE)


@pytest.mark.gen_test
async def test_a_form_that_ends_before_its_end_is_refused():
    for begin in (b"", FILE, MODEL, MODEL + b"--b", MODEL + FILE):
        form = arriving()
        if begin:
            form.feed(begin)
        assert refusal(form.end) == (400, NO_END, Rule.UNUSABLE_BODY), begin
    form.feed(END)
    form.end()


@for_each(
    ("body", "message"),
    [
        (b"no form", "the form does not begin with its boundary"),
        (MODEL + MODEL, "'model' is there more than once: parsers differ in which one counts"),
    ],
)
def test_what_parsers_may_read_differently_is_no_form(body, message):
    assert refusal(arriving().feed, body) == (400, message, Rule.UNUSABLE_BODY)
