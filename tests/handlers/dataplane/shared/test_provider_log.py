"""The log of providers that fail."""

from __future__ import annotations

import logging

from handlers.dataplane.shared.provider_log import ProviderLog
from limits.protection.throttle import LINE_NS
from tests.limits.clock import Clock


def test_each_provider_and_reason_has_a_line_now_and_then(caplog):
    clock = Clock()
    log = ProviderLog(clock)
    with caplog.at_level(logging.INFO):
        for provider in ("openai", "vllm", "openai"):
            log.failed(provider, "it hung up")
        clock.advance(LINE_NS)
        log.failed("openai", "it hung up")
    assert caplog.messages == [
        "provider failed: provider=openai reason='it hung up' new=1 total=1",
        "provider failed: provider=vllm reason='it hung up' new=1 total=1",
        "provider failed: provider=openai reason='it hung up' new=2 total=3",
    ]
