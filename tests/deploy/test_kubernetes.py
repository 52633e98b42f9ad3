"""The manifests, as kubectl renders them: what Kubernetes takes, and what has to agree with the bridge and with one another."""

import kubernetes_validate
import pytest
import yaml

from settings.kinds import DURATION
from tests.cases import for_each
from tests.deploy.test_deploy_files import DEPLOY, VARIABLES, exposed

OLDEST = "1.30"
"""The oldest Kubernetes with all that the manifests ask for: the sleep of preStop."""


@pytest.fixture(scope="module")
def pod(manifests):
    return manifests["Deployment"]["spec"]["template"]


@for_each("version", OLDEST, "1.37")
def test_kubernetes_takes_every_field(manifests, version):
    assert len(manifests) == 5
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_what_has_to_find_the_pods_finds_them(manifests, pod):
    monitor = yaml.safe_load((DEPLOY / "kubernetes" / "servicemonitor.yaml").read_text())
    specs = {kind: one["spec"] for kind, one in manifests.items()}
    labels = pod["metadata"]["labels"]
    assert specs["Deployment"]["selector"] == specs["PodDisruptionBudget"]["selector"] == {"matchLabels": labels}
    assert specs["NetworkPolicy"]["podSelector"] == monitor["spec"]["selector"] == {"matchLabels": labels}
    assert specs["Service"]["selector"] == labels == manifests["Service"]["metadata"]["labels"]
    assert specs["HorizontalPodAutoscaler"]["scaleTargetRef"]["name"] == manifests["Deployment"]["metadata"]["name"]
    assert {one["metadata"]["namespace"] for one in (*manifests.values(), monitor)} == {"aibridge"}
    (container,) = pod["spec"]["containers"]
    ports = [specs["Service"]["ports"][0]["targetPort"], specs["NetworkPolicy"]["ingress"][0]["ports"][0]["port"]]
    assert {*ports, monitor["spec"]["endpoints"][0]["port"]} == {container["ports"][0]["name"]}


def test_what_pods_are_added_for_is_a_metric_of_the_bridge(manifests):
    (metric,) = manifests["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in exposed()


def test_variables_are_settings_and_secrets_are_files(pod):
    (container,) = pod["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert set(variables) <= VARIABLES
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    files = {name: path for name, path in variables.items() if name.endswith("_FILE")}
    assert files == {name: f"{mounts['secrets']}/{name.removesuffix('_FILE')}" for name in files}
    assert variables["AIBRIDGE_DATA_DIR"].startswith(mounts["data"])
    assert f":{container['ports'][0]['containerPort']}" == variables["AIBRIDGE_HTTP_ADDRESS"]


def test_a_pod_is_ended_when_it_has_drained_and_not_before(pod):
    (container,) = pod["spec"]["containers"]
    (drain,) = (one["value"] for one in container["env"] if one["name"] == "AIBRIDGE_DRAIN_TIMEOUT")
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == before + DURATION.parse(drain).seconds + 30
