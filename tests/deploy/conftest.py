import subprocess

import pytest
import yaml

from tests.deploy.binaries import binary
from tests.deploy.test_deploy_files import DEPLOY


@pytest.fixture(scope="module")
def manifests():
    """By kind, as kubectl renders them."""
    rendered = subprocess.run((binary("kubectl"), "kustomize", DEPLOY / "kubernetes"), capture_output=True, check=True)
    return {one["kind"]: one for one in yaml.safe_load_all(rendered.stdout)}
