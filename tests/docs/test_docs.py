"""The documents name every setting, route, key, metric and bound, with its real value."""

import re
from contextlib import AsyncExitStack
from typing import Any

from docs import tables
from handlers.monitoring.metrics import PREFIX
from handlers.openapi.document import openapi_document
from handlers.openapi.reference import reference
from intercept.records import EndReason
from runtime.assembly import open_bridge
from settings import Settings, declared
from storage.alerts.documents import AlertType
from storage.queries.filters.search_language import SEARCH_KEYS
from tests.cases import for_each
from tests.docs.pages import PAGES, first_cells, page, rows, section
from upstream.providers.presets import PRESETS, ProviderType
from version import VERSION

API, ARCHITECTURE, CONFIGURATION, RECORDING = (
    f"docs/{name}.md" for name in ("api", "architecture", "configuration", "recording")
)
SETTINGS = {setting.name: setting for setting in declared()}

each_page = for_each("name", *PAGES)


# Settings.


def test_settings_are_told_as_they_are():
    assert page(CONFIGURATION) == tables.filled(page(CONFIGURATION)), "make docs-tables mends it"


@each_page
def test_every_variable_that_is_mentioned_is_a_setting(name):
    variables = {variable for setting in SETTINGS.values() for variable in (setting.env, setting.env_file)}
    mentioned = {re.sub(r"_\d_", "_N_", found) for found in re.findall(r"\bAIBRIDGE_\w*\w", page(name))}
    others = {"AIBRIDGE_", "AIBRIDGE_X", "AIBRIDGE_X_FILE", "AIBRIDGE_RATE_LIMITS", "AIBRIDGE_TOKEN"}
    assert mentioned - variables - others == set()


# The API.


def test_every_type_of_provider_is_described():
    described = section(CONFIGURATION, "Types of providers")
    assert first_cells(described, "type") == [kind.value for kind in ProviderType if kind is not ProviderType.DEMO]


def test_every_type_of_alert_is_described():
    described = section("docs/operations.md", "Budgets, alerts and money")
    when, _, data = described.partition("| type | `data` |")
    assert first_cells(when, "type") == [row[0].strip("`") for row in rows(data)[1:]] == list(AlertType)


def test_the_reference_has_every_operation_and_every_key_of_its_answers():
    document = openapi_document(VERSION)
    written = reference(document)
    operations = {f"`{method.upper()} {path}`" for path, item in document["paths"].items() for method in item}
    there = set(re.findall(r"(?m)^### (`.*`)$", written))
    assert {one for one in operations - there if "{provider}" not in one and not one.startswith("`PARAM")} == set()
    for name, schema in document["components"]["schemas"].items():
        keys = written.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert [key for key in schema.get("properties", ()) if f"\n| `{key}` | " not in keys] == [], name
    for preset in PRESETS.values():
        assert [route.pattern for route in preset.routes if f"| `{route.pattern}` | " not in written] == []


def test_every_key_of_a_search_is_described():
    assert first_cells(section(API, "Search"), "key") == list(SEARCH_KEYS)


async def test_every_metric_is_described_with_its_type_and_labels(database, tmp_path):
    async with AsyncExitStack() as stack:
        bridge = await open_bridge(Settings(data_dir=tmp_path), database, [], stack)
        collectors: Any = bridge.metrics.registry._collector_to_names
        exposed = {
            (
                collector._name.removeprefix(PREFIX) + ("_total" if collector._type == "counter" else ""),
                collector._type,
                collector._labelnames,
            )
            for collector in collectors
        }
    described = rows(section(API, "`GET /metrics`"))[2:]
    assert {
        (name.strip("`"), kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels, _ in described
    } == exposed


# Recording.


def test_every_way_to_end_is_explained():
    explained = {row[1:] for row in rows(section(RECORDING, "How it ends"))[2:]}
    assert explained == {(f"`{reason.value}`", f"`{reason.status.value}`") for reason in EndReason}


# Architecture.


def test_each_invariant_names_the_tests_that_prove_it():
    proofs = rows(section(ARCHITECTURE, "Invariants"))[2:]
    assert [number for number, *_ in proofs] == [str(number) for number in range(1, 11)]
    assert all("`tests/" in proof or "`make lint`" in proof for *_, proof in proofs)
