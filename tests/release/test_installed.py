"""The bridge as it is installed, outside the folder that it was built from."""

import hashlib
import json
import platform
import re
import shutil
import subprocess

import pytest

from handlers.dashboard import LIBRARIES
from tests.polling import poll
from tests.release.bridge_of_wheel import InstalledBridge
from tests.server_process import ROOT
from version import VERSION


@pytest.fixture
def database(mongodb_uri, database_name):
    """The variables that name it."""
    return {"AIBRIDGE_MONGODB_URI": mongodb_uri, "AIBRIDGE_MONGODB_DATABASE": database_name}


def uses(bridge):
    """Use a bridge as a newcomer does."""
    assert bridge.get("/readyz")
    assert bridge.call()["choices"]
    (call,) = poll(lambda: bridge.get_json("/api/v2/aibridge/interceptions")["results"])
    assert (call["provider"], call["initiator"]["username"]) == ("demo", "demo")
    page = bridge.get("/").decode()
    assert "<title>AI Bridge</title>" in page
    edition = re.search(r"dashboard/([0-9a-f]{16})/", page)[1]
    assert "aibridge users add" in bridge.get("/help/first-hour").decode()
    for name in ("js/main.js", "css/base.css", *LIBRARIES):
        assert bridge.get(f"/dashboard/{edition}/{name}") == (ROOT / "dashboard" / name).read_bytes()


def test_an_installed_bridge_serves_with_workers_and_none_runs_foreign_code(attacked, foreign, database, tmp_path):
    attacked.write("foreign.pth", f"import sys; {foreign}")
    attacked.write("sitecustomize.py", foreign)
    (tmp_path / "tornado.py").write_text(foreign)
    environ = {"HOME": str(attacked.home), "PYTHONPATH": str(tmp_path), **database}
    with InstalledBridge(attacked.command, tmp_path, "serve", "--demo", "--workers", "2", **environ) as bridge:
        uses(bridge)
        assert bridge.stop() == 0
    data_dir = attacked.home / ".local/share/aibridge"
    bridge.stderr.find(rf"the data-dir is {data_dir}$")
    assert {".local"} == {path.name for path in attacked.home.iterdir()}
    assert sorted(path.name for path in (data_dir / "cache").iterdir()) == ["modules", "verified.json"]
    assert (data_dir / "demo-token").read_text() == bridge.token + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["tornado.py"]  # no mark either


def run(command, *arguments, **more):
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=False, **more)
    return done.returncode, done.stdout, done.stderr


def test_the_command_says_its_version_and_commit_and_is_found_through_a_link(installed, home, tmp_path):
    (tmp_path / "aibridge").symlink_to(installed / "bin/aibridge")
    code, said, _ = run(tmp_path / "aibridge", "--version", env={"HOME": str(home), "PATH": "/usr/bin:/bin"})
    assert code == 0
    assert re.fullmatch(rf"AI Bridge {re.escape(VERSION)} \((unknown|[0-9a-f]{{40}}(\+changed)?)\)\n", said)


def test_what_is_missing_is_named_with_the_command_that_installs_it(installed, home):
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "AIBRIDGE_MONGODB_URI": "mongodb://127.0.0.1:1"}
    azure = {
        "AIBRIDGE_PROVIDER_0_TYPE": "azure",
        "AIBRIDGE_PROVIDER_0_NAME": "azure",
        "AIBRIDGE_PROVIDER_0_BASE_URL": "https://a.example",
        "AIBRIDGE_PROVIDER_0_CREDENTIAL": "azure",
    }
    _, _, said = run(installed / "bin/aibridge", "serve", env=environ | azure)
    assert said.endswith(f'needs packages that are not installed; pip install "aibridge[azure]=={VERSION}"\n')


def test_it_attests_what_is_installed_and_whether_that_is_what_was_pinned(attacked):
    said = attacked.run("attest", "-o", "json")
    assert said.returncode == 0
    found = json.loads(said.stdout)
    assert (found["version"], found["verified"], found["matches_lock"]) == (VERSION, True, True)
    assert found["python"] == platform.python_version()
    assert found["commit"]
    by_name = {one["name"]: one for one in found["packages"]}
    assert {"aibridge", "tornado", "pymongo", "dnspython"} <= set(by_name)
    assert "botocore" not in by_name
    for one in by_name.values():
        (record,) = attacked.packages.glob(f"{one['name'].replace('-', '[-_]')}-{one['version']}.dist-info/RECORD")
        assert one["record_sha256"] == hashlib.sha256(record.read_bytes()).hexdigest()
        assert one["pinned"] == one["version"]
    (bill,) = attacked.packages.glob("aibridge-*.dist-info/sboms/aibridge.cdx.json")
    assert found["sbom"] == json.loads(bill.read_text())
    assert "unverified" in attacked.run("--no-verify", "attest").stdout


@pytest.mark.night
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_pip_installs_it_for_each_python_and_an_account_without_a_home_can_start_it(wheel, version, tmp_path):
    python = shutil.which(f"python{version}") or "false"
    if subprocess.run([python, "--version"], check=False, capture_output=True).returncode:
        pytest.skip(f"there is no Python {version}")
    environment, folder = tmp_path / "environment", tmp_path / "empty"
    folder.mkdir()
    subprocess.run([python, "-m", "venv", environment], check=True)
    pip = [environment / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, f"{wheel}[aws,embedded,google,otel]"], check=True)
    environ = {"HOME": "/nonexistent", "AIBRIDGE_OTEL_TRACES": "true"}
    with InstalledBridge(environment / "bin/aibridge", folder, **environ) as bridge:
        uses(bridge)
        assert bridge.stop() == 0
    assert [path.name for path in folder.iterdir()] == ["aibridge-data"]
