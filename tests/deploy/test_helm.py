"""The chart, as the real helm renders it. After a change that is meant: `.venv/bin/python -m tests.deploy.test_helm`."""

import copy
import json
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml

from tests.cases import for_each
from tests.deploy.binaries import binary
from tests.deploy.test_deploy_files import DEPLOY
from tests.deploy.test_kubernetes import OLDEST
from version import VERSION

CHART = DEPLOY / "helm" / "aibridge"
GOLDEN = Path(__file__).parent / "golden"
MONGODB = "mongodb.existingSecret=aibridge"


def helm(verb, *arguments):
    release = ["aibridge"] if verb == "template" else []
    command = (binary("helm"), verb, *release, CHART, "--namespace", "aibridge", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered(*arguments):
    done = helm("template", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_helm_finds_no_fault():
    done = helm("lint", "--strict", "--set", MONGODB)
    assert done.returncode == 0, done.stdout
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION


def test_every_value_does_what_it_did():
    text = rendered("--values", GOLDEN / "values.yaml")
    assert text == (GOLDEN / "rendered.yaml").read_text()
    for manifest in yaml.safe_load_all(text):
        if manifest["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(manifest, OLDEST, strict=True)


def comparable(manifest):
    """A manifest without what differs by design: labels of Helm, and whether one Secret or two are the source of secrets."""
    manifest = copy.deepcopy(manifest)
    for label in ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"):
        manifest["metadata"]["labels"].pop(label, None)
    if manifest["kind"] == "Service":
        assert manifest["spec"].pop("type", "ClusterIP") == "ClusterIP"
    if manifest["kind"] == "Deployment":
        pod = manifest["spec"]["template"]["spec"]
        pod["containers"][0]["env"].sort(key=lambda variable: variable["name"])
        del pod["volumes"][-1]["projected"]["sources"]
    return manifest


def test_the_chart_is_the_manifests(manifests):
    keys = "secrets.settings={AIBRIDGE_ANTHROPIC_KEY,AIBRIDGE_OPENAI_KEY}"
    values = f"{MONGODB},autoscaling.enabled=true,secrets.existingSecret=aibridge,{keys}"
    charted = {one["kind"]: comparable(one) for one in yaml.safe_load_all(rendered("--set", values))}
    assert charted == {kind: comparable(one) for kind, one in manifests.items()}


@for_each(
    ("values", "named"),
    ({}, "/mongodb"),
    ({"mongodb": {"uri": "mongodb://a", "existingSecret": "a"}}, "/mongodb"),
    ({"mongodb": {"uri": "https://a"}}, "/mongodb/uri"),
    ({"secrets": {"settings": ["AIBRIDGE_OPENAI_KEY"]}}, "/secrets"),
    ({"settings": {"AIBRIDGE_MONGODB_URI": "mongodb://a"}}, "AIBRIDGE_MONGODB_URI"),
    ({"settings": {"AIBRIDGE_WORKERS": 2}}, "/settings/AIBRIDGE_WORKERS"),
    ({"replicaCount": 3}, "replicaCount"),
    ({"image": {"digest": "latest"}}, "/image/digest"),
)
def test_values_that_cannot_be_are_refused_by_their_names(values, named, tmp_path_factory):
    file = tmp_path_factory.mktemp("values") / "values.json"
    file.write_text(json.dumps(values))
    given = [] if not values or "mongodb" in values else ["--set", MONGODB]
    done = helm("template", "--values", file, *given)
    assert done.returncode != 0
    assert named in done.stderr


if __name__ == "__main__":
    (GOLDEN / "rendered.yaml").write_text(rendered("--values", GOLDEN / "values.yaml"))
