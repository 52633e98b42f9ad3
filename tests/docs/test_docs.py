"""The documents name every setting, route, key, metric and bound, with its real value."""

import json
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest

from docs import tables
from handlers.application import BridgeApplication
from handlers.operation.metrics import PREFIX
from handlers.operations.catalogue import OPERATIONS
from intercept.records import EndReason, ModelResponse, ModelThought, Reading, TokenUsage, ToolUsage
from intercept.refusals import Rule
from resources.accounts.audit import Detail
from resources.recorded.export_formats import COLUMNS
from resources.recorded.interceptions import Interception
from resources.recorded.refusals import Refusal
from resources.recorded.sessions import Session
from resources.recorded.statistics import GroupTotals
from runtime.assembly import open_bridge
from settings import Settings, declared
from storage.accounts.events import Action
from storage.alerts.documents import AlertType
from storage.queries.filters.search_language import REFUSAL_SEARCH_KEYS, SEARCH_KEYS
from storage.recording.documents import ending_fields, start_document
from tests.cases import for_each
from tests.docs.pages import PAGES, ROOT, blocks, first_cells, headings, page, rows, section
from tests.storage.records import ADA, INSTANCE, as_json, counting_ids, ending, interception, kept
from upstream.providers.presets import PRESETS, ProviderType
from upstream.routes.route import Audience, Route

API, ARCHITECTURE, CONFIGURATION, RECORDING = (
    f"docs/{name}.md" for name in ("api", "architecture", "configuration", "recording")
)
LIST = "`GET /api/v2/aibridge/interceptions`"
SETTINGS = {setting.name: setting for setting in declared()}

each_page = for_each("name", PAGES)


# Settings.


@pytest.mark.usefixtures("impatient")
@each_page
def test_values_and_settings_are_told_as_they_are(name):
    assert page(name) == tables.filled(ROOT / name, page(name)), "make docs-tables mends it"


@each_page
def test_every_flag_and_variable_that_is_mentioned_is_a_setting(name):
    flags = {setting.flag for setting in SETTINGS.values()}
    variables = {variable for setting in SETTINGS.values() for variable in (setting.env, setting.env_file)}
    mentioned = set(re.findall(r"--aibridge-[\w-]*\w", page(name)))
    assert mentioned - flags - {"--aibridge-x-y"} == set()
    mentioned = {re.sub(r"_\d_", "_N_", found) for found in re.findall(r"CODER_AIBRIDGE_\w*\w", page(name))}
    wrong_on_purpose = {"CODER_AIBRIDGE_", "CODER_AIBRIDGE_X", "CODER_AIBRIDGE_X_FILE", "CODER_AIBRIDGE_RATE_LIMITS"}
    assert mentioned - variables - wrong_on_purpose == set()


# The API.


PASSED_ON = {
    Audience.EVERYBODY: "passed on",
    Audience.OWN_RESPONSE: "passed on: the user's own",
    Audience.OWN_KEY: "passed on with an own key only",
}


def test_every_route_of_a_provider_is_listed():
    listed = [row for row in rows(section(API, "Data plane")) if row[0] in list(ProviderType)]
    first: dict[Any, tuple[str, ...]] = {}
    for kind, preset in PRESETS.items():
        for route in preset.routes:
            cells = ", ".join(route.methods), f"`{route.pattern}`", _how_served(route)
            first.setdefault((route.dialect, *cells), (kind.value, *cells))
    assert listed == list(first.values())


def _how_served(route: Route) -> str:
    return "recorded" if route.api else PASSED_ON[route.audience]


def test_every_type_of_provider_is_described():
    described = section(CONFIGURATION, "Types of providers")
    assert first_cells(described, "type") == [kind.value for kind in ProviderType if kind is not ProviderType.DEMO]


def test_every_resource_has_its_section():
    router: Any = BridgeApplication(None).wildcard_router
    patterns = [rule.matcher.regex.pattern.removesuffix("$") for rule in router.rules]
    served = [pattern.replace("([^/]+)", "{id}") for pattern in patterns if pattern != "/dashboard/(.+)"]
    described = [heading.strip("`").split(" ")[1] for heading in headings(API, 3) if heading.startswith("`")]
    described = [re.sub(r"\{\w+\}", "{id}", path) for path in described]
    assert sorted(described) == sorted(served)


def test_every_parameter_of_an_operation_is_in_its_table():
    for one in OPERATIONS:
        heading = f"`{one.method} {one.address}`"
        if heading in headings(API, 3):
            tabled = " ".join(first_cells(section(API, heading), "parameter"))
            assert not tabled or sorted(re.findall(r"\w+", tabled)) == sorted(one.query.__struct_encode_fields__), (
                heading
            )


def test_every_column_of_csv_is_described_in_its_order():
    cells = [row[0] for row in rows(section(API, f"{LIST[:-1]}/export`"))[8:]]
    assert [name for cell in cells for name in re.findall(r"\w+", cell)] == list(COLUMNS)


def test_every_figure_of_the_statistics_is_described():
    described = section(API, "`GET /api/v2/aibridge/stats`")
    assert first_cells(described, "key of a total") == list(GroupTotals.__struct_fields__)


def test_every_key_and_rule_of_refusals_is_described():
    described = section(API, "`GET /api/v2/aibridge/refusals`")
    assert first_cells(described, "key of the search") == list(REFUSAL_SEARCH_KEYS)
    assert first_cells(described, "key of a row") == list(Refusal.__struct_fields__)
    assert first_cells(described, "rule") == list(Rule)


def test_every_action_and_detail_of_the_audit_trail_is_named():
    described = section(API, "`GET /api/v2/aibridge/audit`")
    assert [one.value for one in Action if f"`{one}`" not in described] == []
    assert [name for name in Detail.__struct_fields__ if f"`{name.removesuffix('_before')}`" not in described] == []


def test_every_type_of_alert_is_described():
    described = section("docs/operations.md", "Budgets, alerts and money")
    when, _, data = described.partition("| type | `data` |")
    assert first_cells(when, "type") == [row[0].strip("`") for row in rows(data)[1:]] == list(AlertType)


def test_every_key_of_sessions_is_described():
    assert first_cells(section(API, "Session"), "key") == list(Session.__struct_fields__)


def test_every_key_of_a_search_is_described():
    assert first_cells(section(API, "Search"), "key") == list(SEARCH_KEYS)


@pytest.fixture
def resource():
    """An interception with one record of each kind, as the API shows it."""
    new_id = counting_ids()
    reading = Reading(
        token_usages=(TokenUsage(provider_response_id="resp_1"),),
        tool_usages=(ToolUsage(provider_response_id="", provider_tool_call_id="", tool="", input=""),),
        model_thoughts=(ModelThought(content="", source="thinking"),),
        response=ModelResponse(text=""),
    )
    start = start_document(interception(), instance_id=INSTANCE, new_id=new_id)
    return as_json(Interception.of, kept(start | ending_fields(ending(reading=reading), new_id=new_id)), {ADA.id: ADA})


def test_every_key_of_an_interception_is_described(resource):
    assert first_cells(section(API, "Interception"), "key") == list(resource)


def test_every_key_of_what_an_interception_holds_is_described(resource):
    described = {row[0].strip("`"): row[1] for row in rows(section(API, "Interception")) if len(row) == 2}
    for kind in ("token_usages", "user_prompts", "tool_usages", "model_thoughts"):
        (record,) = resource[kind]
        common = {"id", "interception_id", "created_at", "metadata"}
        further = [key for key in record if key not in common]
        assert [word for word in further if f"`{word}`" not in described[kind]] == [], kind


def test_the_example_of_an_interception_has_its_keys(resource):
    (example,) = blocks(API, "json")[-2:-1]
    example = json.loads(example)
    assert list(example) == list(resource)
    for kind in ("token_usages", "user_prompts"):
        assert [list(record) for record in example[kind]] == [list(record) for record in resource[kind]]


@pytest.mark.gen_test
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
