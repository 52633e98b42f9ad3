"""The result of an audit, from output of pip-audit and npm for indexes with and without advisories."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci/audit.py"
SAFE = {"name": "motor", "version": "3.7.1", "vulns": []}
UNSAFE = {"name": "tornado", "version": "6.6.1", "vulns": [{"id": "PYSEC-2026-1"}]}
UNKNOWN = {"name": "motor", "skip_reason": "Dependency not found"}


@pytest.fixture
def audit(tmp_path):
    def run(pip, npm):
        (tmp_path / "pip_audit.py").write_text(f"print({pip!r})")
        program = tmp_path / "npm"
        (tmp_path / "answer").write_text(npm)
        program.write_text('#!/bin/sh\ncat "${0%/*}/answer"\n')
        program.chmod(0o755)
        environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run([sys.executable, AUDIT], env=environ, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout.split("\n")[:-1]

    return run


def packages(*found):
    return json.dumps({"dependencies": found, "fixes": []})


def test_vulnerabilities_are_named_and_fail(audit):
    npm = {"vulnerabilities": {"preact": {"range": "<10.99", "severity": "high"}}}
    assert audit(packages(SAFE, UNSAFE), json.dumps(npm)) == (
        1,
        [
            "Python packages: 1 known vulnerabilities",
            "npm packages: 1 known vulnerabilities",
            "tornado 6.6.1: PYSEC-2026-1",
            "preact <10.99: high",
        ],
    )


def test_without_vulnerabilities_it_succeeds(audit):
    assert audit(packages(SAFE, UNKNOWN), '{"vulnerabilities": {}}') == (
        0,
        ["Python packages: 0 known vulnerabilities", "npm packages: 0 known vulnerabilities"],
    )


@pytest.mark.parametrize(
    ("pip", "npm", "reasons"),
    [
        (packages(UNKNOWN), '{"error": {}}', ["the index has no advisories", "the registry has no advisories"]),
        ("", "", ["no reason was given"] * 2),
    ],
)
def test_an_index_without_advisories_is_said_and_is_no_failure(audit, pip, npm, reasons):
    of = ("Python packages", "npm packages")
    assert audit(pip, npm) == (
        0,
        [f"{name}: not audited, {reason}" for name, reason in zip(of, reasons, strict=True)],
    )
