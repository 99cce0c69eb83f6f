"""What a Kubernetes API server answered, served again. It is a recording, and no API server.

usage: serve.py RECORDING CERTIFICATE KEY CA ADDRESS PORT

The recording is of kube-apiserver 1.36.3: the watches that CoreDNS begins with (sendInitialEvents), as JSON
and without managedFields, and what they told after one service was added and another deleted. Those later
events are sent on SIGUSR1. Clients need a certificate of the CA.
"""

from __future__ import annotations

import http.server
import json
import signal
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

RECORDING = json.loads(Path(sys.argv[1]).read_text())
later = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the recorded watches, and nothing else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _mark, query = self.path.partition("?")
        if path not in RECORDING or "watch=true" not in query:
            self.send_error(404, "not recorded")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._send(RECORDING[path]["initial"])
        later.wait()
        self._send(RECORDING[path]["later"])
        threading.Event().wait()  # a watch stays open

    def _send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()


def main() -> None:
    certificate, key, authority, address, port = sys.argv[2:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: later.set())
    server.serve_forever()


if __name__ == "__main__":
    main()
