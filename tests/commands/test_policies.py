import json

from limits.policies.reading import NO_PROVIDER
from tests.command_line import refused

POLICY = {"models": {"allow": ["claude-*"]}, "limits": {"together": {"budget": {"usd": "50.00", "period": "month"}}}}


def test_policies_are_set_changed_shown_listed_and_removed(output, run, tmp_path):
    output("groups", "add", "research")
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(POLICY))
    assert json.loads(output("policies", "show", "groups/research")) == {}
    assert json.loads(output("policies", "set", "groups/research", str(file))) == POLICY
    file.write_text('{"max_tokens": 9, "limits": null}')
    changed = {"models": POLICY["models"], "max_tokens": 9}
    assert json.loads(output("policies", "change", "groups/Research", str(file))) == changed
    assert json.loads(output("policies", "show", "groups/research")) == changed
    (listed,) = json.loads(output("policies", "list", "-o", "json"))["results"]
    assert (listed["level"], listed["name"]) == ("group", "research")
    assert refused(run("groups", "remove", "research")) == (
        1,
        'Error: The group "research" has a policy: remove that first.\n',
    )
    assert output("policies", "remove", "groups/research") == "research: done.\n"
    assert output("policies", "remove", "everyone") == "Done.\n"
    assert json.loads(output("policies", "list", "-o", "json"))["results"] == []


def test_what_is_no_policy_changes_nothing_and_is_said_in_one_line(run, tmp_path):
    file = tmp_path / "policy.json"
    for text, message in (
        (
            '{"limits": {"concurrency": 4}}',
            "limits.concurrency: unknown field; allowed are each_member, together",
        ),
        ("[]", "It must be a JSON object."),
    ):
        file.write_text(text)
        assert refused(run("policies", "set", "everyone", str(file))) == (1, f"Error: {message}\n")
    assert refused(run("policies", "show", "users/nobody")) == (1, 'Error: There is no user named "nobody".\n')
    for path in ("everyone/x", "users", "groups/", "moon/x"):
        code, text = refused(run("policies", "show", path))
        assert (code, f"'{path}' is not allowed; give everyone, groups/GROUP" in text) == (2, True)


def test_a_provider_that_is_not_known_here_is_pointed_out_and_no_error(run, tmp_path):
    file = tmp_path / "policy.json"
    patterns = [{"provider": "opnai"}, {"provider": "OpenAI"}, {"provider": "dem*"}, "gpt-*"]
    file.write_text(json.dumps({"models": {"deny": patterns}}))
    known = NO_PROVIDER.format("anthropic, demo, openai")
    result = run("policies", "set", "everyone", str(file))
    assert (result.exit_code, result.stderr) == (0, f"Note: models.deny[0].provider: {known}\n")
    people = tmp_path / "file.json"
    people.write_text(json.dumps({"policies": {"everyone": {"models": {"allow": [{"provider": "nobody"}]}}}}))
    result = run("apply", str(people), "--dry-run")
    assert (result.exit_code, result.stderr) == (0, f"Note: everyone: models.allow[0].provider: {known}\n")
