import base64
import json
from pathlib import Path

import pytest

from tests.cases import for_each
from tests.command_line import refused

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(32)).decode()
KEYS = ("sk-east-key-number-one-1111", "sk-east-key-number-two-2222")


@pytest.fixture
def run(run):
    """Run a command with an encryption key."""
    return lambda *arguments, key=KEY: run(*arguments, AIBRIDGE_ENCRYPTION_KEYS=key)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text("\n".join(KEYS) + "\n\n")
    return str(path)


def show(output, name):
    return json.loads(output("providers", "show", name, "-o", "json"))


def listed(output):
    """The providers of the database, with their settings."""
    found = json.loads(output("providers", "list", "-o", "json"))
    return [show(output, one["name"]) for one in found if one["source"] == "database"]


@pytest.mark.expects_log("the provider east names fallbacks that cannot be used: there is no provider named elsewhere")
def test_a_provider_is_added_with_keys_from_a_file_listed_and_changed(output, key_file):
    added = json.loads(output("providers", "add", "east", "--type", "openai", "--key-file", key_file, "-o", "json"))
    assert listed(output) == [added]
    assert [(key["hint"], key["state"]) for key in added["keys"]] == [
        ("sk-e...1111", "ready"),
        ("sk-e...2222", "ready"),
    ]
    assert added["base_url"] == "https://api.openai.com/v1/"
    heading, *rows = output("providers", "list").splitlines()
    assert heading.split() == ["NAME", "TYPE", "KEY", "STATE", "KEYS", "SOURCE", "STATE"]
    assert [row.split()[0] for row in rows] == ["openai", "anthropic", "east"]
    assert rows[-1].split() == ["east", "openai", "key", "sk-e...1111,", "sk-e...2222", "database", "ready"]
    changes = ("--disabled", "--weight", "3", "--fallback", "openai", "--fallback", "elsewhere")
    changed = json.loads(output("providers", "change", "east", *changes, "-o", "json"))
    assert (changed["state"], changed["weight"], changed["fallback"]) == ("disabled", 3, ["openai", "elsewhere"])
    assert changed["keys"] == added["keys"]
    output("providers", "change", "east", "--fallback", "", "--no-disabled")
    assert (show(output, "east")["state"], show(output, "east")["fallback"]) == ("ready", [])
    assert output("providers", "remove", "east") == "east: done.\n"
    assert listed(output) == []


@for_each(
    ("arguments", "message"),
    (["add", "East", "--type", "openai"], "Error: name: must be lower-case letters and digits with single hyphens"),
    (
        ["add", "x", "--type", "azure"],
        "Error: base_url: is required: a provider of the type azure has no address of",
    ),
    (["add", "x", "--type", "openai", "--base-url", "y"], "Error: base_url: must be an http or https URL"),
    (["add", "x", "--type", "openai", "--key-file", "nothing"], "Error: nothing cannot be read: No such file"),
    (
        ["add", "openai", "--type", "openai"],
        "Error: The name openai is that of a provider of the server's environment",
    ),
    (["change", "x", "--disabled"], "Error: There is no provider named x"),
    (["remove", "x"], "Error: There is no provider named x"),
    (["check", "x"], "Error: There is no provider named x"),
)
def test_what_cannot_be_done_is_said_in_one_line(run, arguments, message):
    code, said = refused(run("providers", *arguments))
    assert (code, said[: len(message)], said.count("\n")) == (1, message, 1)


@pytest.mark.expects_log("key [12] of the provider east cannot be opened")
def test_keys_are_sealed_again_for_a_new_encryption_key(run, output, key_file):
    output("providers", "add", "east", "--type", "openai", "--key-file", key_file)
    rotated = f"{OTHER},{KEY}"
    assert run("providers", "reseal", key=rotated).stdout == "Keys sealed again: 2.\n"
    assert run("providers", "reseal", key=rotated).stdout == "Keys sealed again: 0.\n"
    shown = json.loads(run("providers", "show", "east", "-o", "json", key=OTHER).stdout)
    assert [key["state"] for key in shown["keys"]] == ["ready", "ready"]
    assert [key["state"] for key in show(output, "east")["keys"]] == ["sealed", "sealed"]
    assert refused(run("providers", "reseal"))[0] == 1


@pytest.fixture
def apply(tmp_path, run):
    path = tmp_path / "providers.json"

    def apply(providers, *arguments):
        path.write_text(json.dumps({"providers": providers}))
        return run("apply", str(path), "--remove", *arguments)

    return apply


EAST = {"name": "east", "type": "openai", "key_files": ["keys"]}
LOCAL = {"name": "local", "type": "vllm", "base_url": "http://10.0.0.7:8000/v1/"}


def test_a_file_is_applied_again_and_again_with_the_same_result(apply, output, key_file):
    assert apply([EAST, LOCAL]).stdout == "+ provider east (type: openai, keys: 2)\n+ provider local (type: vllm)\n"
    before = listed(output)
    assert apply([EAST, LOCAL]).stdout == "Nothing is different.\n"
    assert listed(output) == before
    Path(key_file).write_text(f"{KEYS[1]}\n")
    assert apply([EAST, LOCAL]).stdout == "~ provider east (keys: 2 -> 1)\n"
    assert [key["hint"] for key in show(output, "east")["keys"]] == ["sk-e...2222"]
    assert apply([EAST, LOCAL]).stdout == "Nothing is different.\n"
    Path(key_file).write_text("short-key\n")
    for _ in range(2):  # its hint may be that of another one
        assert apply([EAST, LOCAL]).stdout == "~ provider east (keys: 1 -> 1)\n"
    before = listed(output)
    changed = [LOCAL | {"disabled": True, "base_url": "http://10.0.0.8:8000/v1"}]
    text = "- provider east\n~ provider local (base_url: 'http://10.0.0.7:8000/v1/' -> 'http://10.0.0.8:8000/v1/', disabled: False -> True)\n"
    assert apply(changed, "--dry-run").stdout == text
    assert listed(output) == before
    assert apply(changed).stdout == text
    assert [(one["name"], one["disabled"]) for one in listed(output)] == [("local", True)]
    assert apply(changed).stdout == "Nothing is different.\n"


def test_secrets_beside_keys_are_read_from_files_and_never_shown(apply, output, run, tmp_path):
    (tmp_path / "proxy").write_text("ada:p4ssword\n")
    (tmp_path / "aws").write_text("AKIAIOSFODNN7EXAMPLE:s3cr3t/key\n")
    output(
        "providers", "add", "local", "--type", "vllm", "--base-url", LOCAL["base_url"], "--proxy-url", "http://p:3128"
    )
    output("providers", "change", "local", "--proxy-credentials-file", str(tmp_path / "proxy"))
    assert show(output, "local")["proxy_url"] == "http://p:3128"
    elsewhere = run("providers", "change", "local", "--proxy-url", "http://q:3128")
    assert "proxy_credentials: must be given again, as the proxy is another one now" in refused(elsewhere)[1]
    no_types = run("providers", "change", "local", "--aws-access-key-file", str(tmp_path / "aws"))
    assert "aws_access_key: is for requests that are signed: those of the types bedrock" in refused(no_types)[1]
    bedrock = {"name": "aws", "type": "bedrock", "region": "us-east-1", "aws_access_key_file": "aws"}
    proxied = LOCAL | {"proxy_url": "http://q:3128", "proxy_credentials_file": "proxy"}
    text = "~ provider local (proxy_url: 'http://p:3128' -> 'http://q:3128', proxy_credentials: given again)\n+ provider aws (type: bedrock)\n"
    assert apply([proxied, bedrock]).stdout == text
    assert apply([proxied, bedrock]).stdout == "~ provider local (proxy_credentials: given again)\n"
    assert show(output, "aws")["aws_access_key"] == "AKIAIOSFODNN7EXAMPLE"
    assert (
        apply([LOCAL, bedrock]).stdout
        == "~ provider local (proxy_url: 'http://q:3128' -> '', proxy_credentials: none)\n"
    )
    inline = apply([bedrock | {"aws_access_key": "x"}])
    assert "aws_access_key does not belong into this file; name its file as aws_access_key_file" in refused(inline)[1]


@for_each(
    ("providers", "message"),
    ([{"type": "openai"}], "providers[0].name: is required"),
    ([LOCAL, {"name": "x", "type": "openai", "keys": ["sk-1"]}], "providers[1]: keys do not belong into this file"),
    ([LOCAL, LOCAL], "providers: local is there twice"),
    ([LOCAL | {"port": 1}], "providers[0].port: unknown field"),
    ([LOCAL | {"key_files": "keys"}], "providers[0].key_files: must be an array of texts"),
    ([1], "providers[0]: must be an object"),
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_is_changed(apply, output, providers, message):
    code, said = refused(apply(providers))
    assert (code, message in said, said.count("\n")) == (1, True, 1)
    assert listed(output) == []
