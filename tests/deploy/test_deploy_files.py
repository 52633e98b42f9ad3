"""The files in deploy/, as far as they can be checked without the services they are for."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from handlers.monitoring.metrics import PREFIX, Metrics
from settings import declared
from tests.cases import for_each
from tests.upstream.throwaway_ca import EC_KEY, openssl

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {name for setting in declared() for name in (setting.env, setting.env_file) if name}
METRIC = re.compile(rf"{PREFIX}[a-z_]+")


def text(name):
    return (DEPLOY / name).read_text()


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def registry():
    """All metrics of the bridge, without values."""
    metrics = Metrics()
    for name in ("event_loop_lag_seconds", "recorder_queue_length", "recorder_spooled_records"):
        metrics.watch(name, "", lambda: 0)
    return metrics.registry


def exposed():
    """The names under which the bridge's metrics can be asked for."""
    names = set()
    for family in registry().collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def labels_of(name):
    """The labels of a metric, and those that Prometheus adds."""
    plain = re.sub("_(total|bucket|sum|count)$", "", name)
    found = [one for one, names in registry()._collector_to_names.items() if {name, plain} & set(names)]
    return {"instance", "job", "le", *(label for one in found for label in getattr(one, "_labelnames", ()))}


@for_each("name", "aibridge.service", "compose.yaml", "Dockerfile", "nginx.conf", "Caddyfile")
def test_every_variable_of_ours_that_is_named_is_a_setting(name):
    assert set(re.findall(r"AIBRIDGE_[A-Z_]+(?<!_)", text(name))) - {"CODER_AIBRIDGE"} <= VARIABLES


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_in_the_unit_and_it_is_hardened(tmp_path):
    unit = tmp_path / "aibridge.service"
    runnable = re.sub(r"^ExecStart=\S+", "ExecStart=/usr/bin/env", text("aibridge.service"), flags=re.MULTILINE)
    unit.write_text(re.sub("^(User|Group)=.*", r"\1=root", runnable, flags=re.MULTILINE))
    verified = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    unit.write_text(text("aibridge.service"))
    exposure = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert exposure.returncode == 0, exposure.stdout


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_takes_the_server_block(tmp_path):
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = ["-subj", "/CN=aibridge.example.com"]
    openssl("req", "-x509", *EC_KEY, "-keyout", key, "-out", certificate, *subject)
    block = text("nginx.conf").replace("/etc/ssl/aibridge.example.com.pem", str(certificate))
    block = block.replace("/etc/ssl/aibridge.example.com.key", str(key))
    (tmp_path / "site.conf").write_text(block)
    main = tmp_path / "main.conf"
    main.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ include {tmp_path}/site.conf; }}\n")
    tested = run("nginx", "-t", "-e", "stderr", "-c", main)
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr


def test_the_linter_of_images_finds_no_fault_and_health_is_asked_by_the_command():
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = run(hadolint, DEPLOY / "Dockerfile")
    assert (linted.returncode, linted.stdout) == (0, "")
    checked = re.findall(r"^HEALTHCHECK .*CMD (.*)", text("Dockerfile"), flags=re.MULTILINE)
    assert [json.loads(one) for one in checked] == [["aibridge", "health"]]


def test_the_mongodb_of_the_composition_has_a_user_whose_password_has_no_default():
    mongodb = yaml.safe_load(text("compose.yaml"))["services"]["mongodb"]
    assert mongodb["environment"] == {
        "MONGO_INITDB_ROOT_USERNAME": "aibridge",
        "MONGO_INITDB_ROOT_PASSWORD": "${MONGODB_PASSWORD:?set it in deploy/.env}",
    }
    assert mongodb["command"][4:] == ["--keyFile", "/tmp/key"]
    assert "ports" not in mongodb


def test_secrets_reach_the_unit_as_files_and_its_memory_is_bounded_and_never_dumped():
    unit = text("aibridge.service")
    for secret in ("mongodb-uri", "openai-key", "anthropic-key"):
        assert f"LoadCredential={secret}:/etc/aibridge/{secret}\n" in unit
        assert f"_FILE=%d/{secret}\n" in unit
    for line in ("MemoryMax=4G", "LimitCORE=0", "ProtectProc=invisible"):
        assert f"\n{line}\n" in unit


def test_alert_rules_have_the_shape_that_prometheus_reads_and_ask_for_what_there_is():
    (group,) = yaml.safe_load(text("prometheus-alerts.yaml"))["groups"]
    assert set(group) == {"name", "rules"}
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert set(METRIC.findall(rule["expr"])) <= exposed()


def test_the_grafana_dashboard_asks_for_what_there_is_and_its_panels_do_not_overlap():
    dashboard = json.loads(text("grafana-dashboard.json"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    requested = {
        name for panel in panels for target in panel.get("targets", []) for name in METRIC.findall(target["expr"])
    }
    assert requested <= exposed()
    for expression in (target["expr"] for panel in panels for target in panel.get("targets", [])):
        used = {one.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for one in labels.split(",")}
        used |= set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))
        known = set.union(*map(labels_of, METRIC.findall(expression)))
        assert used <= known, expression
    # What it shows is all there is, aside from what only a detail of something shown would add.
    unseen = {re.sub("_(sum|count|bucket)$", "_bucket", name) for name in exposed() - requested} - requested
    assert {name.removeprefix(PREFIX) for name in unseen} == {
        "circuit_breaker_trips_total",
        "passthrough_total",
        "prompts_total",
        "telemetry_events_total",
        "telemetry_forwarded_total",
        "upstream_retries_total",
    }
