from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, RequestHandler

ROOT = Path(__file__).parents[2]
ADAPTER = "handlers/tornado_private.py"


def attributes(source):
    """Names of the attributes that a piece of code uses, on whatever object."""
    return {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


@pytest.fixture(scope="module")
def private():
    """The private attributes that Tornado's classes give their objects."""
    classes = (Application, HTTPHeaders, HTTPServerRequest, RequestHandler)
    used = {name for one in classes for name in attributes(inspect.getsource(one))}
    return {name for name in used.union(*map(dir, classes)) if is_private(name)}


def test_one_file_uses_private_attributes_of_tornado(private):
    assert {"_headers", "_write_buffer", "_headers_written", "_finished", "_prepared_future"} <= private
    named = re.compile(rf"\.({'|'.join(private)})\b")  # to parse a file takes longer
    used = {
        str(path.relative_to(ROOT)): sorted(found)
        for folder in ("handlers", "limits")
        for path in (ROOT / folder).rglob("*.py")
        if named.search(source := path.read_text()) and (found := attributes(source) & private)
    }
    assert used == {ADAPTER: ["_body_future", "_headers", "_headers_written", "_write_buffer"]}
