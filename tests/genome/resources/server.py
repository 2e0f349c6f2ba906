"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Answers each path with its list of answers, one per request; the last one is repeated."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.gone = threading.Event()
        self.turn = threading.Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def on(self, path: str, *answers: Answer) -> str:
        """Answer ``path`` so, and give its address."""
        self.answers[path] = list(answers)
        return self.url(path)

    def requests(self, path: str) -> list[dict[str, str]]:
        return [headers for seen, headers in self.seen if seen == path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up; that is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        with self.server.turn:
            self.server.seen.append((self.path, dict(self.headers)))
            answers = self.server.answers.get(self.path, [status(404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)

    def log_message(self, *args: object) -> None:
        pass

    def head(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def status(code: int, body: bytes = b"no", **headers: object) -> Answer:
    def answer(handler: Handler) -> None:
        handler.head(code, Content_Length=len(body), **headers)
        handler.wfile.write(body)

    return answer


def serve(
    data: bytes,
    *,
    etag: str | None = '"one"',
    modified: str | None = None,
    ranges: bool = True,
    cut: int | None = None,
    stall: int | None = None,
    length: int | None = None,
    endless: bool = False,
    chunked: bool = False,
    kind: str = "application/octet-stream",
) -> Answer:
    """Serve ``data``; ``cut`` hangs up and ``stall`` falls silent after so many bytes of this answer.

    ``endless`` tells no length, so that the end of the connection is the end of the file.
    """

    def answer(handler: Handler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        condition = handler.headers.get("If-Range")
        headers: dict[str, object] = {"Content_Type": kind}
        if etag:
            headers["ETag"] = etag
        if modified:
            headers["Last_Modified"] = modified
        body = data
        if ranges and asked and condition in (None, etag, modified):
            start = int(asked[1])
            if start >= len(data):
                handler.head(416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
                return
            body = data[start:]
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        code = 206 if "Content_Range" in headers else 200
        if endless:
            handler.head(code, **headers)
            handler.wfile.write(body[:cut])
            return
        if chunked:
            handler.head(code, Transfer_Encoding="chunked", **headers)
            for at in range(0, len(body[:cut]), 1000):
                piece = body[at : at + 1000]
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if cut is None:
                handler.wfile.write(b"0\r\n\r\n")
            return
        handler.head(code, Content_Length=len(body) if length is None else length, **headers)
        if cut is not None:
            handler.wfile.write(body[:cut])
            handler.hang_up()
        elif stall is not None:
            handler.wfile.write(body[:stall])
            handler.wfile.flush()
            handler.server.gone.wait(5)
        else:
            handler.wfile.write(body)

    return answer


def trickle(data: bytes, pause: float) -> Answer:
    """A byte now and then."""

    def answer(handler: Handler) -> None:
        handler.head(200, Content_Length=len(data))
        handler.wfile.write(data[:600])
        for at in range(600, len(data)):
            if handler.server.gone.wait(pause):
                return
            handler.wfile.write(data[at : at + 1])
            handler.wfile.flush()

    return answer


def in_two(data: bytes, pause: float) -> Answer:
    """Half of the file, a pause, the rest."""

    def answer(handler: Handler) -> None:
        handler.head(200, Content_Length=len(data))
        handler.wfile.write(data[: len(data) // 2])
        handler.wfile.flush()
        handler.server.gone.wait(pause)
        handler.wfile.write(data[len(data) // 2 :])

    return answer


def redirect(address: str, code: int = 302) -> Answer:
    return status(code, Location=address)


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.gone.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
