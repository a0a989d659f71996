"""A trace goes from the HTTP request through the outbox and the relay to the subscriber's worker."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tejido_local.running import RunningTown
from tejido_shared.testing import Issuer, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector:
    """Keeps the spans it is sent: (process, name) by trace."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    about = {one.key: one.value.string_value for one in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        process = f"{about['service.name']}/{about['tejido.process']}"
                        collector.spans += [(span.trace_id.hex(), process, span.name) for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_one_trace_from_request_to_effect(tmp_path: Path, issuer: Issuer, collector: Collector) -> None:
    town = RunningTown("test_traces", tmp_path, issuer, TEJIDO_OTLP_ENDPOINT=collector.url)
    try:
        town.migrate("requests", "notifications")
        url = town.start_api("requests")
        town.start_relay("requests")
        town.start_worker("tejido_notifications.worker", "notifications-worker")
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Correlation-Id": "from-the-portal"}
        body = {"subject": "Un bache", "petitioner": {"name": "Ana", "email": "ana@example.org"}}
        answer = httpx2.post(f"{url}/v1/service-requests", json=body, headers=headers)
        assert answer.headers["X-Correlation-Id"] == "from-the-portal"
        wanted = {
            ("tejido-requests/api", "POST /v1/service-requests"),
            ("tejido-requests/relay", "send notifications"),
            ("tejido-notifications/worker", "receive requests.submitted"),
        }

        def arrived() -> bool:
            return wanted <= {(process, name) for trace, process, name in collector.spans if trace == TRACE}

        wait_until(arrived, 30, "the spans of one trace")
        assert any(process == "tejido-requests/api" and "INSERT" in name for _, process, name in collector.spans)
        assert '"correlation_id": "from-the-portal"' in (tmp_path / "requests-api.log").read_text()
    finally:
        town.close()
