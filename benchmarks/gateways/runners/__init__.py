"""The gateways that are measured, in the order of the tables."""

from __future__ import annotations

from benchmarks.gateways.runners.bridge import Bridge, TwoWorkers
from benchmarks.gateways.runners.direct import Direct
from benchmarks.gateways.runners.envoy import Envoy
from benchmarks.gateways.runners.ferro import Ferro, FerroWithLog
from benchmarks.gateways.runners.litellm import LiteLLM
from benchmarks.gateways.runners.nginx import Nginx
from benchmarks.gateways.runners.portkey import Portkey
from benchmarks.gateways.runners.runner import Runner, UnavailableError
from benchmarks.gateways.runners.smg import SMG
from storage.mongo.embedded import EmbeddedMongoDB


def all_runners(mongodb: EmbeddedMongoDB | None) -> list[Runner]:
    """One of each."""
    bridges = [Bridge(mongodb), TwoWorkers(mongodb)]
    return [Direct(), Nginx(), Envoy(), *bridges, SMG(), Ferro(), FerroWithLog(), Portkey(), LiteLLM()]


__all__ = ["Runner", "UnavailableError", "all_runners"]
