"""The demo's web service, copied into its checkout and run there: it reads its constellation once, when it starts.

So a pulled fix changes nothing until the process is a new one, as in the incident. It imports nothing of Askfirst.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONSTELLATION = json.loads(Path(__file__).with_name("constellation.json").read_text(encoding="utf-8"))


class Pages(BaseHTTPRequestHandler):
    """Three addresses: the page, the health, the constellation."""

    def do_GET(self) -> None:
        """Answer one request."""
        answers = {
            "/health": {"ok": True, "pid": os.getpid()},
            "/api/constellation": CONSTELLATION,
        }
        server = CONSTELLATION["tftp"]["server"]
        if self.path == "/":
            page = f"<!doctype html><title>Lab GUI</title><h1>Lab GUI</h1><p>TFTP server: {server}"
            self._send(200, "text/html; charset=utf-8", page)
        elif self.path in answers:
            self._send(200, "application/json", json.dumps(answers[self.path]))
        else:
            self._send(404, "text/plain", "nothing here")

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the fleet's logs are not what the demo is about."""

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Pages).serve_forever()
