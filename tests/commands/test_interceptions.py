import json
from uuid import uuid4

from tests.cases import for_each
from tests.command_line import refused


def listed(output, *arguments):
    return [json.loads(line)["id"] for line in output("interceptions", "export", *arguments).splitlines()]


def test_each_option_narrows_the_export(output, record, ada):
    first = record()
    other = record(initiator_id=uuid4(), provider="anthropic", provider_name="claude", model="claude opus: 5")
    for narrowing in [
        ["--initiator", "ada"],
        ["--user", str(ada)],
        ["--provider", "openai"],
        ["--model", "gpt-5"],
        ["--request-id", first],
        ["--status", "completed", "--provider-name", "openai"],
    ]:
        assert listed(output, *narrowing) == [first]
    assert listed(output, "--model", "claude opus: 5", "--provider", "anthropic") == [other]
    assert listed(output, "--started-after", "2026-01-01T01:00:00Z") == [other]
    assert listed(output, "--started-before", "2026-01-01T01:00:00+01:00") == [first]


@for_each(
    ("arguments", "message"),
    [
        (
            ["--started-after", "yesterday"],
            '--started-after must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)',
        ),
        (
            ["--started-after", "2026-01-02T00:00:00Z", "--started-before", "2026-01-01T00:00:00Z"],
            "--started-before must be after --started-after",
        ),
        (["--status", "model"], '--status has invalid value "model": allowed are in_flight, completed, failed'),
        (["--model", 'x" status:"failed'], "--model cannot be empty or hold a double quote."),
        (["--started-before", ""], "--started-before cannot be empty or hold a double quote."),
        (["--after-id", "x"], "Invalid value for '--after-id': 'x' is not a valid UUID."),
    ],
)
def test_an_option_without_meaning_is_a_usage_error(run, arguments, message):
    code, output = refused(run("interceptions", "export", *arguments))
    assert (code, output.splitlines()[-1]) == (2, f"Error: {message}")
