"""`reconcile`, with a real database and stand-ins that speak the providers' APIs on real sockets."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from intercept.records import CredentialKind, Ending, EndReason, Interception, Reading, TokenUsage
from storage.prices.pricing import Cost
from storage.recording.documents import ending_fields, start_document
from storage.recording.figures import figures_of
from tests.command_line import refused
from tests.upstream.reports.conftest import stand_in  # noqa: F401 - a fixture
from tests.upstream.reports.stand_in import ANTHROPIC_KEY, OPENAI_KEY, Entry

DAY = date(2026, 9, 1)
NEXT = DAY + timedelta(days=1)
RANGE = ("--from", "2026-09-01", "--to", "2026-09-04")


@pytest.fixture
def call(database, io_loop):
    """Record a call that has ended."""

    def call(day, model, tokens, usd, provider="anthropic", **fields):
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        given = {
            "id": uuid4(),
            "api_key_id": "abcdefghij",
            "initiator_id": uuid4(),
            "provider": provider,
            "provider_name": provider,
            "route": "/v1/messages",
            "model": model,
            "streaming": True,
            "client": "Unknown",
            "client_session_id": None,
            "user_agent": "",
            "credential_kind": CredentialKind.CENTRALIZED,
            "credential_hint": "...",
            "started_at": at,
        }
        start = Interception(**(given | fields))
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
        usage = TokenUsage(provider_response_id="r", **dict(zip(names, tokens, strict=True)))
        ending = Ending(
            interception_id=start.id,
            end_reason=EndReason.COMPLETED,
            ended_at=at,
            reading=Reading(token_usages=(usage,)),
        )
        document = start_document(start, instance_id=uuid4(), new_id=uuid4)
        cost = None if usd is None else Cost(Decimal(usd), "table 1")
        document |= ending_fields(ending, new_id=uuid4, cost=cost)
        document |= figures_of(document)
        io_loop.run_sync(lambda: database.interceptions.insert_one(document))

    return call


@pytest.fixture
def reconcile(run, stand_in, tmp_path):  # noqa: F811 - the fixture
    """Run the command against the stand-in, whose keys are in a file and in the environment."""
    key_file = tmp_path / "key"
    key_file.write_text(f"{ANTHROPIC_KEY}\n")

    def reconcile(*arguments, **environ):
        given = {
            "AIBRIDGE_RECONCILE_OPENAI_URL": stand_in.url,
            "AIBRIDGE_RECONCILE_ANTHROPIC_URL": stand_in.url,
            "AIBRIDGE_RECONCILE_OPENAI_KEY": OPENAI_KEY,
            "AIBRIDGE_RECONCILE_ANTHROPIC_KEY_FILE": str(key_file),
        }
        result = run("reconcile", *arguments, **(given | environ))
        assert OPENAI_KEY not in result.output
        assert ANTHROPIC_KEY not in result.output
        return result

    return reconcile


def figures(tokens, usd):
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
    return {"tokens": sum(tokens), **dict(zip(names, tokens, strict=True)), "cost_usd": usd}


def test_a_table_says_the_same_of_openai_and_the_exit_code_is_0(call, reconcile, stand_in):  # noqa: F811
    call(DAY, "gpt-5.5", (10, 5, 3, 2), "0.5", provider="openai")
    call(NEXT, "gpt-5.5", (1_000, 1, 0, 0), "1.5", provider="openai")
    call(NEXT, "llama", (1, 1, 0, 0), None, provider="openai", provider_name="own-server")
    stand_in.entries = [
        Entry(DAY, "gpt-5.5-2026-04-23", 10, 5, 3, 2, "0.5"),
        Entry(NEXT, "gpt-5.5", 1_000, 1, 0, 0, "1.5"),
    ]
    result = reconcile("--provider", "openai", "--name", "openai", *RANGE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "DAY         MODEL    TOKENS  REPORTED  USD     REPORTED  VERDICT  REASON",
        "2026-09-01  gpt-5.5  20      20        0.5000  0.5000    agrees",
        "2026-09-02  gpt-5.5  1,001   1,001     1.5000  1.5000    agrees",
        "",
        "2026-09-01 to 2026-09-03, UTC: 2 agree, 0 differ.",
    ]
    result = reconcile("--provider", "openai", *RANGE)
    assert (result.exit_code, "UTC: 2 agree, 1 differ." in result.stdout) == (1, True)


AZURE = (
    "date,meterCategory,meterName,quantity,unitOfMeasure,costInUsd\n"
    "09/01/2026,Azure OpenAI,gpt 5.5 Inp glbl Tokens,0.01,1K,0.3\n"
    "09/01/2026,Azure OpenAI,gpt 5.5 Outp glbl Tokens,0.005,1K,0.2\n"
)


def test_exports_of_azure_and_bedrock_are_files(call, reconcile, tmp_path):
    call(DAY, "gpt-5.5", (10, 5, 0, 0), "0.5", provider="azure")
    file = tmp_path / "azure.csv"
    file.write_text(AZURE)
    result = reconcile("--provider", "azure", *RANGE, "--file", str(file), "-o", "json")
    (row,) = json.loads(result.stdout)
    assert (result.exit_code, row["model"], row["verdict"]) == (0, "gpt-5.5", "agrees")
    assert row["reported"] == figures((10, 5, 0, 0), 0.5)
    code, said = refused(reconcile("--provider", "bedrock", *RANGE))
    assert (code, "bedrock has no API for it: give exports of its costs with --file" in said) == (2, True)
    code, said = refused(reconcile("--provider", "openai", *RANGE, "--file", str(file)))
    assert (code, "the reports of openai are read from its API; leave out --file" in said) == (2, True)
    file.write_text("a,b\n")
    code, said = refused(reconcile("--provider", "bedrock", *RANGE, "--file", str(file)))
    assert (code, said) == (1, f"Error: {file}: no column for day, meter, cost; is it an export of costs as CSV?\n")


def test_what_cannot_be_compared_is_said_in_a_line(reconcile, stand_in):  # noqa: F811
    anthropic = ("--provider", "anthropic", *RANGE)
    without_key = {"AIBRIDGE_RECONCILE_OPENAI_KEY": ""}
    said = "Error: reconcile-openai-key is not set: give an admin key of openai\n"
    assert refused(reconcile("--provider", "openai", *RANGE, **without_key)) == (1, said)
    stand_in.refusal = (401, {}, b"")
    code, said = refused(reconcile(*anthropic))
    assert code == 1
    assert said.endswith(
        "answers 401 to /v1/organizations/usage_report/messages: it does not know the key; give an admin key in"
        " reconcile-anthropic-key\n"
    )
    code, said = refused(reconcile("--provider", "anthropic", "--from", "2026-09-02", "--to", "2026-09-01"))
    assert (code, "--to must be after --from" in said) == (2, True)


def test_a_model_with_control_characters_does_not_reach_the_terminal(call, reconcile):
    call(DAY, "evil\x1b[31m", (1, 1, 1, 1), "1")
    result = reconcile("--provider", "anthropic", *RANGE)
    assert "\x1b" not in result.stdout
    assert "evil\\x1b[31m" in result.stdout
