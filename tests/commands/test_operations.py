"""Commands that are operations: in this process on the database, and by a server."""

import asyncio
import json
import re
import time

import pytest

from commands.operations import TABLES, name_of
from handlers.api.money import NO_PROVIDER
from handlers.openapi.document import openapi_document
from handlers.operations.catalogue import OPERATIONS
from server import COMMANDS
from tests.cases import for_each
from tests.command_line import invoke, refused, succeeded
from version import VERSION

TOKEN = r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
NO_COMMANDS = {
    "demo-company",  # `demo`
    "device",  # for the page of a sign-in
    "vocabulary",
}


def results(text):
    found = json.loads(text)
    assert found.get("count", len(found["results"])) == len(found["results"])
    return found["results"]


def test_every_resource_has_its_commands_and_no_two_are_called_alike():
    names = [name for one in OPERATIONS if (name := name_of(one)) and name.partition(" ")[0] not in NO_COMMANDS]
    assert len(names) == len(set(names))
    assert {name.partition(" ")[0] for name in names} - set(COMMANDS) == set()


def test_tables_show_what_answers_have():
    document = openapi_document(VERSION)

    def properties(schema):
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema["properties"]

    for one in OPERATIONS:
        if table := TABLES.get(one.function.__name__):
            responses = document["paths"][one.address][one.method.lower()]["responses"]
            (status,) = [status for status in responses if status.startswith("2")]
            answer = properties(responses[status]["content"]["application/json"]["schema"])
            assert {column.partition(".")[0] for column in table.before} <= set(answer)
            columns = {column.partition(".")[0] for column in table.columns}
            assert columns <= set(properties(answer[table.rows]["items"])), one.address


def test_users_and_groups_are_added_filled_listed_and_removed(run, output):
    assert output("users", "add", "ada").startswith("id  ")
    output("users", "add", "grace", "--role", "auditor", "--name", "Grace H.")
    output("groups", "add", "lab", "--display-name", "R & D")
    assert output("groups", "add-member", "Lab", "ada", "grace") == "ada: done.\ngrace: done.\n"
    half = run("groups", "remove-member", "lab", "grace", "nobody")
    assert half.stdout == "grace: done.\n"
    assert 'There is no user named "nobody".' in half.stderr
    output("groups", "add-member", "lab", "grace")
    heading, ada, grace = output("users", "list").splitlines()
    assert heading.split() == [
        "USERNAME",
        "ROLE",
        "NAME",
        "GROUPS",
        "LAST",
        "SEEN",
        "AT",
        "SPEND",
        "USD",
        "CREATED",
        "AT",
        "ID",
    ]
    assert re.fullmatch(rf"ada       member   ada       lab     - +0\.0 +{MOMENT}  [0-9a-f-]{{36}}", ada)
    assert re.fullmatch(rf"grace     auditor  Grace H\.  lab     - +0\.0 +{MOMENT}  [0-9a-f-]{{36}}", grace)
    assert [one["username"] for one in results(output("groups", "members", "lab", "-o", "json"))] == ["ada", "grace"]
    assert output("groups", "remove-member", "lab", "ada") == "ada: done.\n"
    assert output("users", "remove", "ada") == "ada: done.\n"
    assert output("users", "change", "grace", "--role", "reader").splitlines()[3] == "role        reader"
    assert [(one["username"], one["role"]) for one in results(output("users", "list", "-o", "json"))] == [
        ("grace", "reader")
    ]


def test_a_page_says_how_many_there_are(run, output):
    for name in ("ada", "bob"):
        output("users", "add", name)
    listed = run("users", "list", "--limit", "1")
    assert (len(listed.stdout.splitlines()), listed.stderr) == (2, "1 of 2: see --limit and --offset.\n")


def test_the_only_owner_stays_one_unless_it_is_confirmed_or_forced(run, output):
    output("users", "add", "ada", "--role", "owner")
    changes = ("users", "remove", "ada"), ("users", "change", "ada", "--role", "member")
    for change in changes:
        for typed in "", "n\n":
            code, said = refused(run(*change, typed=typed))
            assert code == 1
            assert said.startswith(
                '"ada" is the only owner; assign another owner first. Go on without an owner (--force'
            )
    assert [user["role"] for user in results(output("users", "list", "-o", "json"))] == ["owner"]
    assert "role        member" in run(*changes[1], typed="y\n").stdout
    output("users", "change", "ada", "--role", "owner")
    assert output(*changes[0], "--force") == "ada: done.\n"


def test_a_token_stands_alone_on_stdout_and_is_found_by_what_it_is(run, output):
    output("users", "add", "ada")
    output("groups", "add", "ci")
    created = run("tokens", "create", "ada", "--name", "Laptop")
    token = created.stdout.strip()
    assert re.fullmatch(TOKEN, token)
    assert created.stderr == f"{token[:10]}: the token will not be shown again.\n"
    service = run("tokens", "create", "groups/ci", "--name", "build").stdout[:10]

    def found(text):
        listed = results(output("tokens", "find", "--q", text, "-o", "json"))
        return [(one["id"], one["user"]["username"]) for one in listed]

    assert found("lapTOP") == [(token[:10], "ada")]
    assert found("ci") == [(service, "groups/ci")]
    assert "looks like a token" in refused(run("tokens", "find", "--q", token))[1]
    looked_up = [line.split() for line in succeeded(run("tokens", "lookup", typed=token)).splitlines()]
    assert ["user", "ada"] in looked_up
    assert re.fullmatch(TOKEN + "\n", run("tokens", "replace", service).stdout)
    code, said = refused(run("tokens", "lookup", typed=token[:11] + 22 * "x"))
    assert (code, said) == (1, "Error: No token of this bridge: it is unknown, or not complete.\n")
    assert output("tokens", "revoke", token[:10], service) == f"{token[:10]}: done.\n{service}: done.\n"


@for_each(
    ("arguments", "message"),
    (["users", "remove", "nobody"], 'There is no user named "nobody".'),
    (["webhooks", "remove", "x"], "there is no webhook with this id"),
    (["webhooks", "add", "ftp://x"], "url: must be an https URL"),
    (["interceptions", "list", "--limit", "1001"], "Pagination limit must be in range (0, 1000]"),
    (["interceptions", "list", "--q", "status:model"], 'has invalid value "model"'),
    (["limits", "show"], "only a running server knows this: give its address with --url"),
    (["budgets", "list"], "only a running server knows this: give its address with --url"),
    (["views", "list"], "this is about who asks: give the address of a server with --url"),
)
def test_what_cannot_be_done_is_said_in_one_line(run, arguments, message):
    code, said = refused(run(*arguments))
    assert (code, message.lower() in said.lower(), said.count("\n")) == (1, True, 1), said


def test_what_clients_wrote_reaches_no_terminal_as_control_characters(output, record):
    record(model="\x1b[2J\x9b2J\N{RIGHT-TO-LEFT OVERRIDE}")
    for text in (output("interceptions", "list"), output("interceptions", "list", "-o", "json")):
        assert text.isascii()
        assert text.replace("\n", "").isprintable()


def test_the_trail_names_the_account_of_this_machine(output):
    output("users", "add", "ada")
    (entry,) = results(output("audit", "list", "-o", "json"))
    assert entry["action"] == "user.added"
    assert re.fullmatch(r"command line \(.+\)", entry["actor"]["username"])


@pytest.fixture
def ask(running, tmp_path):
    """Has a command asked of the running bridge, by its owner."""

    async def ask(*arguments, token=running.token, **environ):
        environ = {"AIBRIDGE_TOKEN": token, "XDG_CONFIG_HOME": str(tmp_path), **environ}
        return await asyncio.to_thread(
            lambda: invoke(*arguments, "--url", f"http://127.0.0.1:{running.port}", **environ)
        )

    return ask


async def test_a_file_is_applied_by_a_server(ask, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(
        "groups: [{name: lab}]\n"
        "providers: [{name: local, type: vllm, base_url: 'http://10.0.0.7:8000/v1/'}]\n"
        "policies: {groups/lab: {models: {allow: [{provider: local}]}}}\n"
    )
    difference = "+ group lab\n+ provider local (type: vllm)\n+ policy groups/lab\n"
    assert succeeded(await ask("apply", str(file), "--dry-run")) == difference
    assert succeeded(await ask("apply", str(file))) == difference
    assert succeeded(await ask("apply", str(file))) == "Nothing is different.\n"
    assert json.loads(succeeded(await ask("policies", "show", "groups/lab"))) == {
        "models": {"allow": [{"provider": "local", "model": "*"}]}
    }
    changed = succeeded(await ask("providers", "change", "local", "--disabled", "-o", "json"))
    assert json.loads(changed)["state"] == "disabled"
    assert succeeded(await ask("apply", str(file))) == "~ provider local (disabled: True -> False)\n"


async def test_a_server_is_asked_by_its_address_and_a_token(ask, running, tmp_path):
    assert (await ask("users", "add", "bob", "--name", "Bob")).exit_code == 0
    assert [one["username"] for one in results((await ask("users", "list", "-o", "json")).stdout)] == ["ada", "bob"]
    await ask("groups", "add", "lab")
    assert (await ask("groups", "add-member", "lab", "bob")).stdout == "bob: done.\n"
    assert re.fullmatch(TOKEN + "\n", (await ask("tokens", "create", "groups/lab")).stdout)
    assert (await ask("views", "list")).exit_code == (await ask("limits", "show")).exit_code == 0
    assert refused(await ask("users", "remove", "nobody")) == (1, 'Error: There is no user named "nobody".\n')
    code, said = refused(await ask("users", "add", "me"))
    assert (code, "in a search it means the current user" in said, said.count("\n")) == (1, True, 1)
    assert (await ask("spend", "export")).stdout.startswith('"period_start","period_end",')
    code, said = refused(await ask("spend", "export", "--from", "soon"))
    assert (code, said.startswith("Error: from: must be a day")) == (1, True)
    (tmp_path / "token").write_text(f"{running.token}\n")
    assert (await ask("users", "me", "--token-file", str(tmp_path / "token"), token="")).exit_code == 0
    assert refused(await ask("users", "me", token="")) == (
        1,
        f"Error: not signed in to http://127.0.0.1:{running.port}; run `login URL` first\n",
    )
    kept = {"token": running.token, "expires_at": int(time.time()) + 60}
    (tmp_path / "aibridge").mkdir()
    (tmp_path / "aibridge" / "logins.json").write_text(json.dumps({f"http://127.0.0.1:{running.port}": kept}))
    assert (await ask("users", "me", token="")).exit_code == 0


def test_a_token_goes_to_no_address_without_tls():
    result = invoke("users", "list", "--url", "http://bridge.example", AIBRIDGE_TOKEN="d3W24SnZZB-x")
    assert (result.exit_code, "give one with https" in result.stderr) == (2, True)


def test_a_server_that_cannot_be_reached_is_said_in_one_line():
    code, said = refused(invoke("users", "list", "--url", "http://127.0.0.1:1", AIBRIDGE_TOKEN="x-y"))
    assert (code, said.startswith("Error: http://127.0.0.1:1 cannot be reached: "), said.count("\n")) == (1, True, 1)


PRICE = {"provider": "anthropic", "model": "claude-*", "input": "4.5", "output": "22.5", "valid_from": "2026-01-01"}


def test_prices_are_set_by_a_file_and_listed(output, run, tmp_path):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"prices": [PRICE | {"cache_read": "0.125"}, PRICE | {"provider": "nobody"}]}))
    result = run("prices", "set", str(file))
    assert (result.exit_code, result.stderr) == (0, f"Note: {NO_PROVIDER.format(1)}\n")
    shown = output("prices", "list")
    assert result.stdout == shown
    heading, first, _ = (re.split("  +", line) for line in shown.splitlines())
    assert heading[:6] == ["PROVIDER", "MODEL", "VALID FROM", "INPUT", "OUTPUT", "CACHE READ"]
    assert first == ["anthropic", "claude-*", "2026-01-01T00:00:00.000Z", "4.5", "22.5", "0.125", "-", "-"]
    kept = json.loads(output("prices", "list", "-o", "json"))["prices"]
    file.write_text(json.dumps({"prices": [kept[0], {"input": 1}]}))
    code, said = refused(run("prices", "set", str(file)))
    assert (code, said.startswith("Error: prices[1].provider: is required; ")) == (1, True)
    file.write_text(json.dumps({"prices": kept[:1]}))
    output("prices", "set", str(file))
    assert json.loads(output("prices", "list", "-o", "json"))["prices"] == kept[:1]


def test_files_that_manage_an_agent_are_printed_with_where_they_belong(output):
    output("groups", "add", "research")
    printed = output("desk", "files", "--client", "gemini", "--group", "research", "--address", "https://b.example")
    assert printed.startswith("# /etc/gemini-cli/settings.json\n# ")
    assert "\n\n# /etc/profile.d/aibridge.sh\n# Each user sets GEMINI_API_KEY to a token of their own.\n\n" in printed
    assert printed.endswith("export GOOGLE_GEMINI_BASE_URL='https://b.example/api/v2/aibridge/gemini'\n")
