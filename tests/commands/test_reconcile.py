"""`spend reconcile`, with a real database and a stand-in that speaks the provider's API on real sockets."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from intercept.records import Reading, TokenUsage
from storage.prices.pricing import Cost
from storage.recording.documents import ending_fields, start_document
from storage.recording.figures import figures_of
from tests.command_line import refused, succeeded
from tests.storage.records import INSTANCE, ending, interception
from tests.upstream.reports.conftest import stand_in  # noqa: F401 - a fixture
from tests.upstream.reports.stand_in import OPENAI_KEY, Entry

DAY = date(2026, 9, 1)
NEXT = DAY + timedelta(days=1)
RANGE = ("--from", "2026-09-01", "--to", "2026-09-04")


@pytest.fixture
def call(database, io_loop):
    """Record a call that has ended."""

    def call(day, model, tokens, usd, provider="anthropic", **changes):
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        given = {"id": uuid4(), "provider": provider, "provider_name": provider, "model": model, "started_at": at}
        start = interception(**given | changes)
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
        usage = TokenUsage(provider_response_id="r", **dict(zip(names, tokens, strict=True)))
        end = ending(interception_id=start.id, ended_at=at, reading=Reading(token_usages=(usage,)))
        document = start_document(start, instance_id=INSTANCE)
        document |= ending_fields(end, cost=None if usd is None else Cost(Decimal(usd), "table 1"))
        document |= figures_of(document)
        io_loop.run_sync(lambda: database.interceptions.insert_one(document))

    return call


def reconcile(run, stand_in, *arguments, **environ):  # noqa: F811 - the fixture
    given = {
        "AIBRIDGE_RECONCILE_OPENAI_URL": stand_in.url,
        "AIBRIDGE_RECONCILE_OPENAI_KEY": OPENAI_KEY,
    }
    result = run("spend", "reconcile", "--provider", "openai", *arguments, **(given | environ))
    assert OPENAI_KEY not in result.output
    return result


def test_a_table_says_the_same_of_openai_and_the_exit_code_is_0(run, call, stand_in):  # noqa: F811
    call(DAY, "gpt-5.5", (10, 5, 3, 2), "0.5", provider="openai")
    call(NEXT, "gpt-5.5", (1_000, 1, 0, 0), "1.5", provider="openai")
    call(NEXT, "evil\x1b[31m", (1, 1, 0, 0), None, provider="openai", provider_name="own-server")
    stand_in.entries = [
        Entry(DAY, "gpt-5.5-2026-04-23", 10, 5, 3, 2, "0.5"),
        Entry(NEXT, "gpt-5.5", 1_000, 1, 0, 0, "1.5"),
    ]
    result = reconcile(run, stand_in, "--names", "openai", *RANGE)
    assert succeeded(result).splitlines() == [
        "DAY         MODEL    RECORDED TOKENS  REPORTED TOKENS  RECORDED COST USD  REPORTED COST USD  VERDICT  REASON",
        "2026-09-01  gpt-5.5  20               20               0.5                0.5                agrees",
        "2026-09-02  gpt-5.5  1001             1001             1.5                1.5                agrees",
    ]
    result = reconcile(run, stand_in, *RANGE)
    assert (result.exit_code, "evil?[31m" in result.stdout, "differs" in result.stdout) == (1, True, True)


def test_what_cannot_be_compared_is_said_in_a_line(run, stand_in):  # noqa: F811
    code, said = refused(reconcile(run, stand_in, *RANGE, AIBRIDGE_RECONCILE_OPENAI_KEY=""))
    assert (code, said.startswith("Error: reconcile-openai-key is not set.")) == (1, True)
    stand_in.refusal = (401, {}, b"")
    code, said = refused(reconcile(run, stand_in, *RANGE))
    assert (code, "give an admin key in reconcile-openai-key" in said) == (1, True)
