"""Traces in OpenTelemetry's form: a span for each request of the data plane, and inside it one for each phase.

What goes wrong here never reaches a call. A trace says names, ids, counts and states: no prompt, no response, no credential.

Sources: W3C Trace Context for how spans are linked across servers; OpenTelemetry's semantic conventions for HTTP and, still in
development, for generative AI.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from tornado.httputil import HTTPServerRequest

from handlers.lifecycle import ActiveRequest
from handlers.timer import ADMISSION, AUTHENTICATION, UPSTREAM, RequestTimer
from intercept.records import Ending, StartRecord, Status, TokenUsage
from upstream.headers import Headers
from version import VERSION

Attributes = dict[str, str | int]

ERROR_TYPE = "error.type"
OPERATION = "chat"
"""What a call of any API that is recorded is, in the words of the conventions."""
FIRST_SERVER_ERROR = 500
# What a stopping server gives its last spans to reach the collector.
FLUSH_SECONDS = 5.0
# How often it is said that something is wrong.
TROUBLE_SECONDS = 60.0
_context = TraceContextTextMapPropagator()
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


class _Trouble:
    """Logs problems, at most one in `TROUBLE_SECONDS`."""

    def __init__(self) -> None:
        self._silent_until = 0.0

    def log(self, message: str, error: Exception | None = None) -> None:
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + TROUBLE_SECONDS
            logger.warning(message, exc_info=error)


class _Exporter(SpanExporter):
    """The collector's side, whose own log lines, several for each batch that fails, become one in a while."""

    def __init__(self) -> None:
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter()
        self._trouble = _Trouble()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; on a thread of the processor's."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._trouble.log("traces: the collector took no spans, which are lost; calls go on")
        return result

    def shutdown(self) -> None:
        """Stop sending, and cancel the current request."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class Tracing:
    """Follows requests. Where to, how many and under which name is said by OpenTelemetry's own environment variables.

    Raises:
        ValueError: one of those variables cannot be used.
    """

    def __init__(self, *, instance_id: UUID, clock: Callable[[], float]) -> None:
        about = {"service.name": "aibridge", "service.version": VERSION, "service.instance.id": str(instance_id)}
        self._provider = TracerProvider(
            resource=Resource.create(about).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(_Exporter()))
        self._tracer = self._provider.get_tracer("aibridge", VERSION)
        self._clock = clock
        self._trouble = _Trouble()

    def follow(self, request: HTTPServerRequest) -> RequestTimer:
        """Begin the span of a request, inside the one that it says it belongs to."""
        return _TracedRequest(self._clock, self._tracer, self._trouble, request)

    async def close(self) -> None:
        """Send the rest, for at most `FLUSH_SECONDS`."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # no task waits for it any more
                loop.call_soon_threadsafe(done.set)

        Thread(target=shut_down, daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await done.wait()
        except TimeoutError:
            logger.warning("traces: the collector did not take the last spans within %g s", FLUSH_SECONDS)


def _harmless(
    step: Callable[Concatenate[_TracedRequest, _Parameters], _Result],
) -> Callable[Concatenate[_TracedRequest, _Parameters], _Result | None]:
    """Keep what goes wrong with a trace from the call."""

    def harmless(self: _TracedRequest, /, *args: _Parameters.args, **more: _Parameters.kwargs) -> _Result | None:
        try:
            return step(self, *args, **more)
        except Exception as error:  # noqa: BLE001 - samplers and id generators may be the operator's own
            self.trouble.log("traces: a request cannot be traced", error)
            return None

    return harmless


class _TracedRequest(RequestTimer):
    """The span of one request, and of its present phase."""

    __slots__ = ("_call", "_inside", "_method", "_phase_name", "_phase_span", "_span", "_tracer", "trouble")

    def __init__(
        self, clock: Callable[[], float], tracer: Tracer, trouble: _Trouble, request: HTTPServerRequest
    ) -> None:
        super().__init__(clock)
        self.trouble = trouble
        self._tracer = tracer
        self._method = request.method or ""
        self._span: Span | None = None
        self._inside = Context()
        self._phase_span: Span | None = None
        self._phase_name: str | None = None
        self._call: Attributes = {}
        self._begin(request)

    def enter(self, phase: str | None) -> float:
        """Begin a phase, and its span."""
        seconds = super().enter(phase)
        self._begin_phase(ADMISSION if phase == AUTHENTICATION else phase)
        return seconds

    def outgoing(self, headers: Headers) -> Headers:
        """Replace the client's trace headers with those of the phase's span."""
        context = self._trace_headers()
        if not context:
            return headers
        return [header for header in headers if header[0].lower() not in _context.fields] + context

    @_harmless
    def recorded(self, interception: StartRecord, ending: Ending) -> None:
        """Keep what the record says until the request is over."""
        self._call = of_call(interception, ending)

    @_harmless
    def over(self, status: int | None, holder: ActiveRequest) -> None:
        """End the span of the request."""
        span, self._span = self._span, None
        if span is None:
            return
        self._begin_phase(None)
        attributes = of_request(status, holder) | self._call
        model = self._call.get("gen_ai.request.model")
        span.update_name(f"{self._method} {holder.route or ''}".strip() if model is None else f"{OPERATION} {model}")
        span.set_attributes(attributes)
        if ERROR_TYPE in attributes:
            span.set_status(StatusCode.ERROR)
        span.end()

    @_harmless
    def _begin(self, request: HTTPServerRequest) -> None:
        self._span = self._tracer.start_span(
            self._method,
            context=_context.extract(request.headers, Context()),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": self._method},
        )
        self._inside = set_span_in_context(self._span, Context())

    @_harmless
    def _begin_phase(self, name: str | None) -> None:
        if name == self._phase_name:
            return
        span, self._phase_span, self._phase_name = self._phase_span, None, name
        if span is not None:
            span.end()
        if name is not None and self._span is not None:
            kind = SpanKind.CLIENT if name == UPSTREAM else SpanKind.INTERNAL
            self._phase_span = self._tracer.start_span(name, context=self._inside, kind=kind)

    @_harmless
    def _trace_headers(self) -> Headers:
        carried: dict[str, str] = {}
        if self._phase_span is not None:
            _context.inject(carried, set_span_in_context(self._phase_span, Context()))
        return list(carried.items())


def of_request(status: int | None, holder: ActiveRequest) -> Attributes:
    """Describe any request. `status` is what the client was sent, None if it was nothing."""
    return _known(
        {
            "http.response.status_code": status,
            "http.route": holder.route,
            "enduser.id": None if holder.user_id is None else str(holder.user_id),
            "aibridge.provider.name": holder.provider,
            "aibridge.interception.id": None if holder.interception_id is None else str(holder.interception_id),
            ERROR_TYPE: str(status) if status is not None and status >= FIRST_SERVER_ERROR else None,
        }
    )


def of_call(interception: StartRecord, ending: Ending) -> Attributes:
    """Describe a recorded call. The conventions count among the input what is cached; records do not."""
    usages = ending.reading.token_usages
    read, written = _total(usages, "cache_read_input_tokens"), _total(usages, "cache_write_input_tokens")
    return _known(
        {
            "gen_ai.operation.name": OPERATION,
            "gen_ai.provider.name": interception.provider,
            "gen_ai.request.model": interception.model,
            "gen_ai.conversation.id": interception.client_session_id,
            "gen_ai.response.id": ending.reading.response_id or None,
            "gen_ai.usage.input_tokens": _sum((_total(usages, "input_tokens"), read, written)),
            "gen_ai.usage.cache_read.input_tokens": read,
            "gen_ai.usage.cache_creation.input_tokens": written,
            "gen_ai.usage.output_tokens": _total(usages, "output_tokens"),
            "aibridge.end_reason": ending.end_reason.value,
            ERROR_TYPE: ending.end_reason.value if ending.end_reason.status is Status.FAILED else None,
        }
    )


def _known(attributes: Mapping[str, str | int | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _total(usages: Iterable[TokenUsage], name: str) -> int | None:
    return _sum(getattr(usage, name) for usage in usages)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
