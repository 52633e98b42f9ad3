import json

from resources.money.prices import NOT_A_TIME, NOT_MONEY
from tests.command_line import refused

PRICE = {"provider": "anthropic", "model": "claude-*", "input": "4.5", "output": "22.5", "valid_from": "2026-01-01"}
SHOWN = PRICE | {"valid_from": "2026-01-01T00:00:00.000Z"}
ADDED = "own price of gpt-5 of openai from 2026-02-01T00:00:00.000Z: input 1.25, output 10, cache_read 0.125"
GPT = ("openai", "gpt-5")


def test_prices_are_set_added_listed_and_removed(output, run, tmp_path):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"prices": [PRICE]}))
    assert output("prices", "set", str(file)) == "There are 1 own prices.\n"
    costs = ("--input", "1.25", "--output", "10", "--cache-read", "0.125", "--valid-from", "2026-02-01")
    assert output("prices", "add", *GPT, *costs) == f"Added: {ADDED}.\n"
    assert output("prices", "add", *GPT, *costs) == f"Added: {ADDED}.\n"
    listed = output("prices", "list", "--json")
    assert [(one["model"], one["input"]) for one in json.loads(listed)] == [("claude-*", "4.5"), ("gpt-5", "1.25")]
    assert json.loads(listed)[0] == SHOWN
    file.write_text(listed)
    assert output("prices", "set", str(file)) == "There are 2 own prices.\n"
    assert output("prices", "list").splitlines() == [
        "PROVIDER   MODEL     VALID FROM            INPUT  OUTPUT  CACHE READ  CACHE WRITE  CACHE WRITE 1H",
        "anthropic  claude-*  2026-01-01T00:00:00Z  4.5    22.5",
        "openai     gpt-5     2026-02-01T00:00:00Z  1.25   10      0.125",
    ]
    none = "Error: there is no such price; `prices list` shows all\n"
    assert refused(run("prices", "remove", *GPT, "--valid-from", "2026-03-01")) == (1, none)
    assert output("prices", "remove", "OpenAI", "GPT-5") == f"Removed: {ADDED}.\n"
    assert len(json.loads(output("prices", "list", "--json"))) == 1


def test_what_is_no_price_changes_nothing_and_is_said(run, output, tmp_path):
    file = tmp_path / "prices.json"
    for text, said in (
        ('{"prices": [{"input": 1}, 2]}', "nothing was changed: prices[0].provider: is required; "),
        ("{", "nothing was changed: it must be a JSON object"),
        (json.dumps([PRICE, PRICE]), "nothing was changed: prices[1]: is there already"),
    ):
        file.write_text(text)
        code, printed = refused(run("prices", "set", str(file)))
        assert (code, printed.startswith(f"Error: {said}")) == (1, True)
    code, printed = refused(run("prices", "add", *GPT, "--input", "free", "--output", "1"))
    assert (code, NOT_MONEY in printed) == (2, True)
    code, printed = refused(run("prices", "add", *GPT, "--input", "1", "--output", "1", "--valid-from", "soon"))
    assert (code, NOT_A_TIME in printed) == (2, True)
    code, printed = refused(run("prices", "add", "open ai", "gpt-5", "--input", "1", "--output", "1"))
    assert (code, "PROVIDER must be 1 to 200 visible ASCII characters" in printed) == (2, True)
    assert json.loads(output("prices", "list", "--json")) == []


def test_a_job_that_prices_calls_again_is_requested_listed_and_cancelled(output, run):
    requested = output("prices", "recost", "--from", "2026-11-01", "--to", "2026-11-02")
    (job,) = json.loads(output("prices", "recosts", "--json"))
    assert requested == f"Requested: {job['id']}.\n"
    assert (job["state"], job["from"], job["to"], job["requested_by"]) == (
        *("waiting", "2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z", None),
    )
    again = "Error: another re-costing is in progress; wait for its end, or cancel it\n"
    assert refused(run("prices", "recost", "--from", "2026-11-01")) == (1, again)
    assert output("prices", "cancel-recost", job["id"]) == "Cancelled after 0 calls.\n"
    assert refused(run("prices", "cancel-recost", job["id"])) == (1, "Error: this re-costing has ended already\n")
    line = output("prices", "recosts").splitlines()[1].split()
    assert line == [job["id"], "cancelled", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "0", "0", "0.00", "0.00"]
    code, said = refused(run("prices", "recost", "--from", "2026-11-02", "--to", "2026-11-01"))
    assert (code, "--to must be after --from" in said) == (2, True)
