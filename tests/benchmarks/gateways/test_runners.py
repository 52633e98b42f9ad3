"""The configuration of the gateways, and the measurements of each."""

import gc
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from benchmarks.gateways.measurements import MEASUREMENTS
from benchmarks.gateways.runners import all_runners
from benchmarks.gateways.runners import litellm as litellm_runner
from benchmarks.gateways.runners.bridge import BridgeBeside, BridgeWithout
from benchmarks.gateways.runners.envoy import Envoy
from benchmarks.gateways.runners.ferro import Ferro, FerroWithLog
from benchmarks.gateways.runners.litellm import LiteLLM
from benchmarks.gateways.runners.nginx import Nginx
from benchmarks.gateways.runners.runner import Setup, UnavailableError
from benchmarks.gateways.without import TRICKS
from benchmarks.reports.tables import AS_IT_IS, COST, LATENCY, THROUGHPUT
from handlers.dataplane.proxy import ProxyHandler
from handlers.operation import metrics
from intercept import blocks
from intercept.dialects import readers
from intercept.records import TokenUsage
from runtime import ids
from storage.costs import prices
from storage.costs.prices import Prices
from storage.recording import recorder
from storage.recording.outbox import tail
from tests.docs.pages import page

MALICIOUS = {"1.82.7", "1.82.8", "1.107.0"}
AUTHORITY = Path("/certificates/authority.pem")
ONE_TOKEN = TokenUsage(provider_response_id="", input_tokens=1)


def measured(runner):
    return {measurement.name for measurement in MEASUREMENTS if measurement.suits(runner)}


def configuration(runner, folder, authority):
    runner._program = "program"
    runner.program(Setup(1111, 2222, folder, {0}, authority))
    (path,) = folder.iterdir()
    return path.read_text()


def test_each_measurement_has_a_name_of_its_own():
    names = [measurement.name for measurement in MEASUREMENTS]
    assert len(set(names)) == len(names)


def test_a_gateway_is_measured_in_the_apis_that_it_has():
    everything = measured(Nginx())
    assert everything == {measurement.name for measurement in MEASUREMENTS}
    assert everything - measured(Ferro()) == {"burst messages", "blocking messages 32"}


def test_workers_and_contenders_are_measured_by_the_rows_that_suit_them():
    by_name = {runner.name: measured(runner) for runner in all_runners(None)}
    assert by_name["AI Bridge, 2 workers"] == {"blocking chat 32", "burst chat"}
    assert by_name["AI Bridge"] - by_name["direct"] == {"tls blocking", "tls burst", "tls paced"}


def test_every_row_shows_a_figure_that_is_measured():
    figures = [row.figure for row in (*THROUGHPUT, *COST, *LATENCY, *AS_IT_IS)]
    names = [measurement.name for measurement in MEASUREMENTS]
    latency = re.compile(r"(share|first byte|delay) (\d+)( p50| p99| cpu)?")
    paced = {name.removeprefix("paced ") for name in names}

    def is_measured(figure):
        match = latency.fullmatch(figure)
        return match[2] in paced if match else any(figure.startswith(name) for name in names)

    assert [figure for figure in figures if not is_measured(figure)] == []


@pytest.mark.parametrize("runner", [Envoy(), Ferro(), FerroWithLog(), LiteLLM()], ids=lambda runner: runner.name)
@pytest.mark.parametrize("authority", [None, AUTHORITY])
def test_what_a_gateway_reads_at_its_start_is_yaml(runner, authority, tmp_path):
    assert yaml.safe_load(configuration(runner, tmp_path, authority))


def test_envoy_checks_the_certificate_of_the_upstream(tmp_path):
    (cluster,) = yaml.safe_load(configuration(Envoy(), tmp_path, AUTHORITY))["static_resources"]["clusters"]
    validation = cluster["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
    assert validation["trusted_ca"] == {"filename": str(AUTHORITY)}


def test_the_log_of_ferro_is_listed_at_all_three_stages(tmp_path):
    plugins = yaml.safe_load(configuration(FerroWithLog(), tmp_path, None))["plugins"]
    assert [plugin["stage"] for plugin in plugins] == ["before_request", "after_request", "on_error"]
    assert {plugin["name"] for plugin in plugins} == {"request-logger"}


def test_no_version_of_litellm_that_was_malicious_is_installed():
    assert litellm_runner.VERSION not in MALICIOUS


def test_the_page_says_of_every_gateway_what_it_does_and_what_not():
    rows = [line.split("|")[1:-1] for line in page("docs/performance.md").splitlines() if line.startswith("| ")]
    said = {cells[0].strip(): cells[1:] for cells in rows if len(cells) == 3}
    missing = [runner.name for runner in all_runners(None) if not all(map(str.strip, said.get(runner.name, [""])))]
    assert missing == []


def test_a_bridge_without_a_trick_is_told_from_the_bridge():
    runners = [BridgeWithout(None, trick) for trick in TRICKS]
    assert [runner.name for runner in runners] == [f"AI Bridge without {trick}" for trick in TRICKS]
    assert [runner.launcher for runner in runners] == [("-m", "benchmarks.gateways.without", trick) for trick in TRICKS]


def test_the_server_of_another_checkout_is_run_there(tmp_path):
    runner = BridgeBeside(None, tmp_path / "." / "before")
    folder = tmp_path / "before"
    assert (runner.name, runner.folder, runner.launcher) == (f"AI Bridge in {folder}", folder, ("server.py",))


def test_another_checkout_has_a_version_of_its_own(tmp_path, mongodb):
    runner = BridgeBeside(mongodb, tmp_path)
    with pytest.raises(UnavailableError, match="it is no checkout"):
        runner.prepare()
    (tmp_path / "version.py").write_text('VERSION = "0.0.9"\n')
    assert (runner.prepare(), runner.database) == ("0.0.9", mongodb.pid)


def test_without_a_trick_the_server_does_without_it(monkeypatch):
    changed = {
        "in_step": (ProxyHandler, "in_step"),
        "waiting_ends": (recorder, "ENDS_TOGETHER"),
        "prompt_blocks": (blocks, "read_blocks"),
        "merged_starts": (tail, "START_SECONDS"),
        "gathered_records": (tail, "GATHER_SECONDS"),
        "ordered_ids": (ids, "time_ordered_ids"),
        "known_prices": (prices, "MODELS_REMEMBERED"),
        "known_series": (metrics, "series"),
        "frozen_objects": (gc, "freeze"),
        "switch_interval": (sys, "setswitchinterval"),
        "read_together": (readers, "READ_TOGETHER_BYTES"),
    }
    assert set(changed) == set(TRICKS)
    monkeypatch.setattr(blocks, "pack_blocks", blocks.pack_blocks)
    monkeypatch.setattr(prices.Prices, "_tariff", prices.Prices._tariff)
    for trick, (owner, name) in changed.items():
        usual = getattr(owner, name)
        monkeypatch.setattr(owner, name, usual)
        TRICKS[trick]()
        assert (trick, getattr(owner, name) is usual) == (trick, False)
    assert next(ids.time_ordered_ids()).version == 4
    assert Prices({"openai": ("openai", "")}).cost("openai", "gpt-4o", [ONE_TOKEN], datetime.now(UTC)).usd > 0
