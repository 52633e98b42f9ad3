import click
import pytest
from click.testing import CliRunner

from settings import Settings, SettingsCommand, SettingsGroup, declared, settings_of


@pytest.fixture
def seen():
    return []


@pytest.fixture
def main(seen):
    @click.group(cls=SettingsGroup, params=declared(), invoke_without_command=True)
    @click.pass_context
    def main(context):
        if context.invoked_subcommand is None:
            context.invoke(serve)

    @main.command(cls=SettingsCommand, params=declared())
    @click.option("--demo", is_flag=True)
    @click.pass_context
    def serve(context, demo=False):
        seen.append((settings_of(context), demo))

    @main.command(cls=SettingsCommand, params=declared("Database"))
    @click.argument("what", default="")
    @click.pass_context
    def tidy(context, what):
        assert settings_of(context) == settings_of(context)  # a command and what it calls may both need them
        seen.append(settings_of(context))

    return main


@pytest.fixture
def run(main):
    def run(*arguments, **environ):
        cleared = dict.fromkeys(["OPENAI_API_KEY", "ANTHROPIC_API_KEY"])
        return CliRunner().invoke(main, arguments, env=cleared | environ, prog_name="server.py")

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate-limit", "5"],
        ["--rate-limit=5"],
        ["--rate-limit", "5", "serve"],
        ["serve", "--rate-limit", "5"],
        ["--rate-limit", "6", "serve", "--rate-limit", "5"],
        ["--rate-limit", "6", "serve", "--aibridge-rate-limit", "5"],
        ["--aibridge-rate-limit=5", "serve"],
    ],
)
def test_a_flag_may_stand_before_or_after_the_command_and_the_last_one_counts(run, seen, arguments):
    assert run(*arguments).output == ""
    assert seen == [(Settings(rate_limit=5), False)]


def test_a_flag_wins_over_the_environment_wherever_it_stands(run, seen):
    run("--rate-limit", "5", "serve", AIBRIDGE_RATE_LIMIT="7", AIBRIDGE_MAX_CONCURRENCY="3")
    assert seen == [(Settings(rate_limit=5, max_concurrency=3), False)]


def test_a_command_may_take_the_flags_of_one_topic_and_still_sees_all_settings(run, seen):
    run("--rate-limit", "5", "tidy", "--mongodb-database", "other")
    assert seen == [Settings(rate_limit=5, mongodb_database="other")]
    refused = run("tidy", "--rate-limit", "5")
    assert (refused.exit_code, "No such option" in refused.stderr) == (2, True)


def test_a_bad_value_ends_with_2_and_one_line(run, seen):
    result = run("--rate-limit", "many")
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        "Error: --rate-limit: 'many' is not allowed; give a whole number, 0 (off) or more\n",
    )
    assert seen == []


def test_an_unknown_variable_is_warned_of_once_and_nothing_else_happens(run, seen):
    for arguments in ((), ("tidy",)):
        result = run(*arguments, AIBRIDGE_RATELIMIT="5")
        assert (result.exit_code, result.stdout, result.stderr) == (
            0,
            "",
            "Warning: AIBRIDGE_RATELIMIT is not a setting and is ignored; did you mean AIBRIDGE_RATE_LIMIT?\n",
        )
    assert seen == [(Settings(), False), Settings()]


def test_no_flag_takes_a_key(run):
    assert run("--openai-key", "sk").exit_code == 2


def test_the_help_shows_every_setting_with_its_variable_and_default_under_its_topic(run):
    for arguments in [["--help"], ["serve", "--help"]]:
        output = run(*arguments).output
        words = " ".join(output.split())
        for setting in declared():
            origin = setting.env if setting.flag else f"{setting.env} {setting.kind.name}"
            assert setting.help in words
            assert origin in words
            assert f"\n{setting.topic}:\n" in output
            if setting.flag:
                assert f"\n  {setting.flag} {setting.kind.name}\n" in output
            if setting.default:
                assert f"default: {setting.default}]" in words
