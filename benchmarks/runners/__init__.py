"""The gateways that are measured, in the order of the tables."""

from __future__ import annotations

from benchmarks.runners.bridge import Bridge, TwoWorkers
from benchmarks.runners.direct import Direct
from benchmarks.runners.envoy import Envoy
from benchmarks.runners.ferro import Ferro, FerroWithLog
from benchmarks.runners.litellm import LiteLLM
from benchmarks.runners.nginx import Nginx
from benchmarks.runners.portkey import Portkey
from benchmarks.runners.runner import Runner, UnavailableError
from benchmarks.runners.smg import SMG
from storage.mongo.embedded import EmbeddedMongoDB


def all_runners(mongodb: EmbeddedMongoDB | None) -> list[Runner]:
    """One of each."""
    bridges = [Bridge(mongodb), TwoWorkers(mongodb)]
    return [Direct(), Nginx(), Envoy(), *bridges, SMG(), Ferro(), FerroWithLog(), Portkey(), LiteLLM()]


__all__ = ["Runner", "UnavailableError", "all_runners"]
