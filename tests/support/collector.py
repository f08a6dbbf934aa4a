"""A collector of OTLP over HTTP that keeps what it gets, decoded by the protocol's own Python package."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SPANS = []


def attributes(pairs):
    values = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        values[pair.key] = getattr(pair.value, kind) if kind else None
    return values


def decode(body, headers):
    request = ExportTraceServiceRequest.FromString(body)
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "kind": Span.SpanKind.Name(span.kind),
                    "status": Status.StatusCode.Name(span.status.code),
                    "took_ns": span.end_time_unix_nano - span.start_time_unix_nano,
                    "events": len(span.events),
                    "attributes": attributes(span.attributes),
                    "resource": attributes(of_resource.resource.attributes),
                    "scope": of_scope.scope.name,
                    "authorization": headers.get("authorization"),
                    "content_type": headers.get("content-type"),
                }


class Collector(BaseHTTPRequestHandler):
    def answer(self, content_type, body):
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/traces":
            self.send_error(404)
            return
        SPANS.extend(decode(body, self.headers))
        self.answer("application/x-protobuf", ExportTraceServiceResponse().SerializeToString())

    def do_GET(self):
        self.answer("application/json", json.dumps(SPANS).encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector).serve_forever()
