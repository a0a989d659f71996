"""Traces from an HTTP request through the outbox to the worker, when a collector is configured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from tejido_shared.settings import CommonSettings

_tracer = trace.get_tracer("tejido")
_enabled = False


def configure(service: str, process: str, settings: "CommonSettings") -> bool:
    """Starts exporting spans if `TEJIDO_OTLP_ENDPOINT` is set. A forked worker calls it after the fork. Returns whether traces are on."""
    global _enabled
    if not settings.otlp_endpoint:
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": f"tejido-{service}", "service.namespace": "tejido", "tejido.process": process}
        )
    )
    endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint), schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    PsycopgInstrumentor().instrument()
    _enabled = True
    return True


def traceparent() -> str | None:
    """The current span as a W3C `traceparent`, to travel with an event; none when traces are off."""
    if not _enabled:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, parent: str | None = None, **attributes: str | int
) -> Iterator[trace.Span]:
    """A span around the block, child of `parent` (a `traceparent`) or of the current span."""
    if not _enabled:
        yield trace.INVALID_SPAN
        return
    context = propagate.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False
    ) as started:
        yield started
