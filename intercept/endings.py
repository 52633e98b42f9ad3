"""Why an exchange ended: one decision, from everything that was seen."""

from __future__ import annotations

from msgspec import structs

from intercept.records import EndReason, Reading, UsageSource

FIRST_SUCCESS = 200
FIRST_REDIRECT = 300


def end_reason(
    *,
    status: int | None,
    reading: Reading,
    interruption: EndReason | None,
    undelivered: bool = False,
) -> EndReason:
    """Decide how a call ended: what the provider sent counts before the client's leaving.

    `status` is the upstream's, None before its head. `interruption` is what broke the exchange off (the client left,
    the server stopped, the upstream fell silent or was cut), None when the body ended cleanly. `undelivered` says that
    bytes were read which the client had not taken when it left.
    """
    if status is not None and not FIRST_SUCCESS <= status < FIRST_REDIRECT:
        return EndReason.UPSTREAM_ERROR
    if reading.error is not None:
        return EndReason.UPSTREAM_STREAM_ERROR
    if reading.complete and not (interruption and undelivered):
        return EndReason.COMPLETED
    if interruption is not None:
        return interruption
    return EndReason.COMPLETED if reading.open_ended else EndReason.UPSTREAM_TRUNCATED


def settled(reading: Reading, reason: EndReason) -> Reading:
    """The reading as it is recorded: what a completed call used is the provider's last word."""
    if reason is not EndReason.COMPLETED or all(usage.source is UsageSource.PROVIDER for usage in reading.token_usages):
        return reading
    usages = tuple(structs.replace(usage, source=UsageSource.PROVIDER) for usage in reading.token_usages)
    return structs.replace(reading, token_usages=usages)
