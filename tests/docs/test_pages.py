"""The pages themselves: every link leads somewhere, every file is there, every command can be pasted."""

import json
import re
import shlex
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

import server
from intercept.records import TokenUsage
from runtime import quickstart
from storage.prices.pricing import Prices
from tests.cases import for_each
from tests.docs.pages import PAGES, ROOT, anchor, blocks, code, headings, page

each_page = for_each("name", *PAGES)


@each_page
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        if not target.startswith("https://"):
            path, _, fragment = target.partition("#")
            linked = (ROOT / name).parent / path if path else ROOT / name
            assert linked.exists(), target
            if fragment:
                there = str(linked.resolve().relative_to(ROOT))
                assert fragment in {anchor(heading) for level in (1, 2, 3, 4) for heading in headings(there, level)}


TOP = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"data"}


def looks_like_a_file(text):
    return bool(
        re.fullmatch(r"[\w.-]+\.(py|md|txt)|pyproject\.toml", text)
        or (re.fullmatch(r"[\w./-]+", text) and "/" in text and text.split("/")[0] in TOP)
    )


@each_page
def test_every_file_that_is_mentioned_exists(name):
    assert [text for text in code(name) if looks_like_a_file(text) and not (ROOT / text).exists()] == []


@each_page
def test_every_make_target_that_is_mentioned_exists(name):
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    commands = [text for text in code(name) if text.startswith("make ")]
    commands += [line for language in ("sh", "") for block in blocks(name, language) for line in block.splitlines()]
    called = {match[1] for line in commands if (match := re.match(r"make (?:[A-Z]\S* )?([a-z-]+)", line))}
    assert called - targets == set()


def test_the_readme_has_both_commands_and_what_make_run_prints():
    readme = page("README.md")
    assert "\nmake run " in readme
    assert "\nmake test " in readme
    assert quickstart.welcome("http://127.0.0.1:4001", "TOKEN", Path("data"), code="CODE", dashboard=True) in readme


def commands_in(name):
    """The command lines of server.py on a page, as lists of words."""
    lines = [
        *code(name),
        *(line for language in ("sh", "") for block in blocks(name, language) for line in block.split("\n")),
    ]
    return [shlex.split(line.partition("server.py")[2], comments=True) for line in lines if "python server.py" in line]


def unknown_words(words):
    """The words of a command line that are neither commands nor options of it."""
    command, unknown, rest = server.main, [], iter(words)
    known = {option: parameter for parameter in command.params for option in parameter.opts} | {"--help": None}
    for word in rest:
        if word == "--":  # what follows is for another program
            break
        if word.startswith("--"):
            options = known | {option: parameter for parameter in command.params for option in parameter.opts}
            if word not in options:
                unknown.append(word)
            elif options[word] is not None and not options[word].is_flag:
                next(rest)
        elif isinstance(command, click.Group):
            found = command.resolve_command(click.Context(command, resilient_parsing=True), [word])
            command = found[1] or unknown.append(word) or command
    return unknown


@each_page
def test_every_command_line_is_understood(name):
    assert [words for words in commands_in(name) if unknown_words(words)] == []


@pytest.mark.parametrize("name", ["README.md", "docs/clients.md"])
def test_every_model_that_is_named_to_clients_has_a_price(name):
    prices = Prices({dialect: (dialect, "") for dialect in ("openai", "anthropic")})
    models = set(re.findall(r"\b(?:gpt|claude)-[a-z]*-?\d[\w.-]*\w", page(name)))
    assert models
    used = TokenUsage(provider_response_id="", input_tokens=1)
    for model in models:
        dialect = "openai" if model.startswith("gpt") else "anthropic"
        assert prices.cost(dialect, model, [used], datetime.now(UTC)), model


@each_page
def test_every_block_of_code_is_code(name):
    for block in blocks(name, "python"):
        compile(block, name, "exec")
    for block in blocks(name, "toml"):
        tomllib.loads(block)
    for block in blocks(name, "json"):
        for value in [block] if "\n " in block else block.splitlines():
            json.loads(value)
