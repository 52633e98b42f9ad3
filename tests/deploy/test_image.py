"""The image, built from its Dockerfile, and its root file system started as Kubernetes starts it.

Docker Hub's base images are not asked for: buildah takes a base that mmdebstrap makes of Debian's packages.
"""

import json
import os
import platform
import shlex
import subprocess
from shutil import which

import pytest

from tests.deploy.test_deploy_files import DEPLOY
from tests.release.bridge_of_wheel import InstalledBridge
from tests.release.test_installed import uses
from tests.server_process import ROOT

USER = 10001
PACKAGES = "ca-certificates,nodejs,npm,python-is-python3,python3,python3-pip,python3-venv"
CERTIFICATES = "/etc/ssl/certs"  # of an index behind a proxy, too
START = """#!/bin/sh -e
exec unshare --mount --propagation private sh -ec '
    mount --bind {root} {root}
    mount -o remount,bind,ro {root}
    mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
    mount --bind {volume} {root}/var/lib/aibridge
    mount -t proc proc {root}/proc
    mount --bind /dev {root}/dev
    exec chroot --userspec={user}:{user} {root} env -i "$@"' - {environ} \\
    AIBRIDGE_HTTP_ADDRESS="$AIBRIDGE_HTTP_ADDRESS" AIBRIDGE_MONGODB_URI="$AIBRIDGE_MONGODB_URI" \\
    AIBRIDGE_MONGODB_DATABASE="$AIBRIDGE_MONGODB_DATABASE" {entry} "$@"
"""


@pytest.fixture
def buildah(tmp_path):
    """Run buildah in a store of the test; what it prints."""
    store = ["buildah", "--root", tmp_path / "store", "--runroot", tmp_path / "run", "--storage-driver", "vfs"]

    def run(*arguments):
        environ = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        command = [*store, *arguments]
        return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    yield run
    run("umount", "--all")
    run("rm", "--all")


@pytest.fixture
def base(buildah, tmp_path):
    """The name of an image with what the Dockerfile needs of both of its base images."""
    archive, suite = tmp_path / "base.tar", platform.freedesktop_os_release()["VERSION_CODENAME"]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, archive]
    subprocess.run(command, check=True)
    container = buildah("from", "scratch")
    buildah("add", container, archive, "/")
    authorities = f"{CERTIFICATES}/ca-certificates.crt"
    buildah(*("config", "--env", f"PIP_CERT={authorities}", "--env", f"NODE_EXTRA_CA_CERTS={authorities}", container))
    buildah("commit", "--rm", container, "localhost/base")
    return "localhost/base"


@pytest.mark.night
@pytest.mark.skipif(
    os.geteuid() != 0 or not which("buildah") or not which("mmdebstrap"),
    reason="buildah, mmdebstrap and root are needed",
)
def test_the_image_serves_with_a_read_only_root_and_records_in_a_database_outside(buildah, base, tmp_path, replica_set):
    images = (f"--build-arg={name}_IMAGE={base}" for name in ("PYTHON", "NODE"))
    files = (f"--file={DEPLOY / 'Dockerfile'}", f"--ignorefile={DEPLOY / 'Dockerfile.dockerignore'}")
    # chroot cannot raise what buildah would raise by itself.
    limits = ("--ulimit=nofile=20000:20000", "--ulimit=nproc=10000:10000")
    volume = f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"
    commit = "--build-arg=COMMIT=0123456789abcdef0123456789abcdef01234567 1800000000"
    buildah(
        *("build", "--quiet", "--network=host", "--format=docker", volume, *limits),
        *(*files, *images, commit, "--tag=aibridge", ROOT),
    )
    container = buildah("from", "localhost/aibridge")
    config = json.loads(buildah("inspect", container))["Docker"]["config"]
    assert (config["User"], config["Cmd"]) == (f"{USER}:{USER}", ["serve"])
    kept = tmp_path / "volume"
    kept.mkdir(mode=0o700)
    os.chown(kept, USER, USER)
    start = tmp_path / "start"
    words = {"environ": config["Env"], "entry": config["Entrypoint"]}
    start.write_text(
        START.format(
            root=buildah("mount", container),
            volume=kept,
            user=USER,
            **{name: shlex.join(value) for name, value in words.items()},
        )
    )
    start.chmod(0o700)
    environ = {"AIBRIDGE_MONGODB_URI": replica_set.uri, "AIBRIDGE_MONGODB_DATABASE": "aibridge"}
    with InstalledBridge(start, tmp_path, *config["Cmd"], "--demo", **environ) as bridge:
        uses(bridge)
        assert bridge.get_json("/readyz")["database"] == "ok"
        assert bridge.stop() == 0
    assert "demo-token" in {path.name for path in kept.iterdir()}
