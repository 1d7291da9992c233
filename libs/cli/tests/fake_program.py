"""A program of a fake stack: answers HTTP, and notes its end in a file.

`fake_program.py PORT ENDINGS [--ignore-sigterm] [--die-first]`
"""

import http.server
import os
import pathlib
import signal
import sys

port, endings, *flags = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def note(text):
    with pathlib.Path(endings).open("a") as opened:
        opened.write(text + "\n")


def ended(*_):
    note(f"SIGTERM {os.environ.get('FAKE_NAME', '')}")
    if "--ignore-sigterm" not in flags:
        os._exit(0)


if "--die-first" in flags and not pathlib.Path(endings).exists():
    note("died first")
    sys.exit(1)
signal.signal(signal.SIGTERM, ended)
print(  # noqa: T201 - its log
    f"listening on {port}, pid {os.getpid()} , secret of {len(os.environ.get('FAKE_SECRET', ''))} characters",
    flush=True,
)
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
