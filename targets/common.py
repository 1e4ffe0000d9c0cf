"""What all targets share: an HTTP/1.1 server on plain sockets and threads that stops as a server should.

A target is this server with one thing done differently, so that its file says exactly what its defect is. Told to
stop (SIGTERM, SIGINT), this one turns its readiness, finishes what it holds, refuses new long work with a clean 503,
still answers short work, and closes its listener last. It ends every connection in order: half-close, read what the
client still sends, close. Then it exits 0.

Routes: GET /healthz, GET /items (answers at once), GET /slow, GET /stream (chunked), GET /big (sized), POST /orders.
The last four are long: they take `--work` seconds, or as long as the sink holds `/slow?sink=1`.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

LONG = ("/slow", "/stream", "/big", "/orders")
PIECE = b"0123456789abcde\n" * 256  # 4,096 bytes
PIECES = 20
REASONS = {200: "OK", 201: "Created", 404: "Not Found", 500: "Internal Server Error", 502: "Bad Gateway"}
REASONS[503] = "Service Unavailable"
LAST_WORD_S = 0.3  # the listener outlives the last held answer by this: who was sent here in that instant is answered
FRESH_S = 0.5  # how long a connection that is just open may take to send its request, at the end
CLOSING_S = 1.0  # how long a client may take to close after us


class Gone(OSError):
    """The connection is over; its thread has nothing left to do."""


class Request:
    """A method, a path, a query and headers; `held` when its head was read before the stop."""

    def __init__(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, target, self.version = first.split(" ", 2)
        self.path, _, self.query = target.partition("?")
        pairs = (line.partition(":") for line in lines if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.length = int(self.headers.get("content-length", "0"))
        self.unread = self.length
        self.held = False

    @property
    def keeps_alive(self) -> bool:
        return self.version == "HTTP/1.1" and self.headers.get("connection", "").lower() != "close"


class Connection:
    """One client's socket: reads requests, and ends in order or by a reset."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.buffer = b""
        self.served = 0
        self.opened_at = time.monotonic()

    def wait(self, ending: int) -> bool:
        """Wait for bytes of a request; False when the server ends first."""
        if self.buffer:
            return True
        if readable(self.sock.fileno(), ending) and not readable(self.sock.fileno(), timeout_s=0):
            fresh_s = self.opened_at + FRESH_S - time.monotonic()
            return not self.served and fresh_s > 0 and readable(self.sock.fileno(), timeout_s=fresh_s)
        return True

    def read_request(self) -> Request | None:
        """The next request's head, or None when the client has closed."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return Request(head)

    def read_some_body(self, request: Request) -> None:
        """Take what has come of the body, at least one byte."""
        data = self.buffer or self.sock.recv(65536)
        if not data:
            raise Gone
        self.buffer = data[request.unread :]
        request.unread = max(0, request.unread - len(data))

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close_in_order(self) -> None:
        """Half-close, read until the client closes, close: unread input would turn the close into a reset."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            until = time.monotonic() + CLOSING_S
            while readable(self.sock.fileno(), timeout_s=max(0.0, until - time.monotonic())):
                if not self.sock.recv(65536):
                    break
        except OSError:
            pass
        self.sock.close()

    def reset(self) -> None:
        """Close by a reset, whatever was sent or read."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def readable(*fds: int, timeout_s: float | None = None) -> bool:
    """Whether one of the descriptors has something to read (an end counts) within the time."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


class Server:
    """The correct server. Override one method to make it guilty."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.told = False  # set in the signal handler, seen by the main loop
        self.stopping = threading.Event()  # the stop as all threads see it
        self.stopped_at = 0.0
        self.quiet_since = 0.0  # when the last held request ended
        self.changed = threading.Condition()
        self.held: set[Request] = set()
        self.connections: set[Connection] = set()
        self.wake_r, self.wake_w = os.pipe()
        self.ending_r, ending_w = os.pipe()
        self.ending_w: int | None = ending_w
        os.set_blocking(self.wake_r, False)
        os.set_blocking(self.wake_w, False)
        self.listener: socket.socket | None = None

    # ---- the life of the server: main thread ----------------------------------------------------------------

    def run(self) -> int:
        self.handle_signals()  # before the listener: who can connect meets a server that can be told to stop
        self.listener = self.listen()
        self.options.port = self.listener.getsockname()[1]  # `--port 0` takes any
        print(f"listening on {self.options.host}:{self.options.port}", flush=True)
        while not self.may_close():
            self.accept(timeout_s=0.05 if self.stopping.is_set() else None)
            if self.told and not self.stopping.is_set():
                self.begin_stop()
        self.close_listener()
        self.end_connections()
        return self.finish()

    def handle_signals(self) -> None:
        # Python runs handlers between its own steps; a signal just before `poll` would else be heard at the next request.
        signal.set_wakeup_fd(self.wake_w, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.tell)

    def tell(self, *_: object) -> None:
        self.told = True
        self.wake()

    def wake(self) -> None:
        try:
            os.write(self.wake_w, b"!")
        except BlockingIOError:
            pass

    def listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.options.host, self.options.port))
        listener.listen(512)
        listener.settimeout(0)
        return listener

    def accept(self, timeout_s: float | None) -> None:
        """Wait for a connection or a wake-up, then take every connection that waits."""
        fds = [self.wake_r, *([self.listener.fileno()] if self.listener else [])]
        if not readable(*fds, timeout_s=timeout_s):
            return
        try:
            os.read(self.wake_r, 4096)
        except BlockingIOError:
            pass
        self.accept_all()

    def accept_all(self) -> None:
        while self.listener:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            except OSError:
                continue  # that client has left already
            try:
                connection = Connection(sock)
            except OSError:
                continue  # as above
            with self.changed:
                self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def begin_stop(self) -> None:
        with self.changed:
            self.stopped_at = self.quiet_since = time.monotonic()
            self.stopping.set()
        self.on_stop()

    def on_stop(self) -> None:
        """Called once, in the main loop, when the stop begins."""

    def may_close(self) -> bool:
        """Nothing held any more, and nobody is sent here any more."""
        if not self.stopping.is_set() or self.held:
            return False
        stay_until = max(self.stopped_at + self.options.linger, self.quiet_since + LAST_WORD_S)
        return time.monotonic() >= stay_until

    def close_listener(self) -> None:
        self.accept_all()
        if self.listener:
            self.listener.close()
            self.listener = None

    def end_connections(self) -> None:
        """Idle connections are closed in order, the others once they have their answer."""
        self.end_idle()
        with self.changed:
            self.changed.wait_for(lambda: not self.connections)

    def end_idle(self) -> None:
        """From now on a connection ends as soon as it has no request in flight."""
        if self.ending_w is not None:
            os.close(self.ending_w)
            self.ending_w = None

    def finish(self) -> int:
        return 0

    # ---- one connection: a thread ---------------------------------------------------------------------------

    def serve(self, connection: Connection) -> None:
        try:
            while self.wait_for_request(connection):
                request = connection.read_request()
                if request is None or not self.serve_one(connection, request):
                    break
            connection.close_in_order()
        except (OSError, ValueError):
            connection.sock.close()
        finally:
            with self.changed:
                self.connections.discard(connection)
                self.changed.notify_all()

    def wait_for_request(self, connection: Connection) -> bool:
        return connection.wait(self.ending_r)

    def serve_one(self, connection: Connection, request: Request) -> bool:
        """Answer one request; whether the connection stays open."""
        with self.changed:
            request.held = not self.stopping.is_set()
            if request.held:
                self.held.add(request)
        try:
            return self.answer(connection, request)
        finally:
            connection.served += 1
            with self.changed:
                self.held.discard(request)
                self.quiet_since = time.monotonic() if request.held else self.quiet_since
            if self.stopping.is_set():
                self.wake()

    # ---- one request ----------------------------------------------------------------------------------------

    def answer(self, connection: Connection, request: Request) -> bool:
        if request.path == "/healthz":
            return self.answer_ready(connection, request)
        if request.path == "/items":
            return self.respond(connection, request, 200, b'["item"]\n')
        if request.path not in LONG:
            return self.respond(connection, request, 404, b"no such page\n")
        if self.refuses(request):
            return self.refuse(connection, request)
        return self.work(connection, request)

    def answer_ready(self, connection: Connection, request: Request) -> bool:
        if self.stopping.is_set():
            return self.respond(connection, request, 503, b"stopping\n", "Retry-After: 2")
        return self.respond(connection, request, 200, b"ready\n")

    def refuses(self, request: Request) -> bool:
        """Whether a long request is refused: those that come after the stop."""
        return not request.held

    def refuse(self, connection: Connection, request: Request) -> bool:
        self.respond(connection, request, 503, b"stopping\n", "Retry-After: 2", "Connection: close")
        return False

    def work(self, connection: Connection, request: Request) -> bool:
        if request.path == "/stream":
            return self.stream(connection, request)
        if request.path == "/big":
            return self.big(connection, request)
        return self.slow(connection, request)

    def slow(self, connection: Connection, request: Request) -> bool:
        self.invite_body(connection, request)
        self.read_body(connection, request)
        status = self.hold(request)
        return self.respond(connection, request, status, b'{"done": true}\n')

    def invite_body(self, connection: Connection, request: Request) -> None:
        if request.headers.get("expect", "").lower() == "100-continue":
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def read_body(self, connection: Connection, request: Request) -> None:
        while request.unread:
            connection.read_some_body(request)

    def hold(self, request: Request) -> int:
        """Take the time of the work, or ask the sink; the status to answer."""
        if "sink=1" in request.query and self.options.sink:
            return 200 if ask_sink(self.options.sink) else 502
        time.sleep(self.options.work)
        return 201 if request.path == "/orders" else 200

    def stream(self, connection: Connection, request: Request) -> bool:
        connection.send(self.head(request, 200, "Transfer-Encoding: chunked"))
        for piece in self.pieces():
            self.send_chunk(connection, piece)
        connection.send(b"0\r\n\r\n")
        return self.stays_open(connection, request)

    def send_chunk(self, connection: Connection, piece: bytes) -> None:
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))

    def big(self, connection: Connection, request: Request) -> bool:
        connection.send(self.head(request, 200, f"Content-Length: {PIECES * len(PIECE)}"))
        for piece in self.pieces():
            self.send_piece(connection, piece)
        return self.stays_open(connection, request)

    def send_piece(self, connection: Connection, piece: bytes) -> None:
        connection.send(piece)

    def pieces(self):
        """The pieces of a long body, spread over the time of the work."""
        began = time.monotonic()
        for number in range(PIECES):
            time.sleep(max(0.0, began + self.options.work * number / (PIECES - 1) - time.monotonic()))
            yield PIECE

    # ---- answers --------------------------------------------------------------------------------------------

    def respond(self, connection: Connection, request: Request, status: int, body: bytes, *headers: str) -> bool:
        """Send a whole answer; whether the connection stays open."""
        stays = self.stays_open(connection, request)
        head = self.head(request, status, f"Content-Length: {len(body)}", *headers, closes=not stays)
        connection.send(head + (b"" if request.method == "HEAD" else body))
        return stays

    def head(self, request: Request, status: int, *headers: str, closes: bool | None = None) -> bytes:
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Content-Type: text/plain", *headers]
        closes = not request.keeps_alive or self.stopping.is_set() if closes is None else closes
        if closes and "Connection: close" not in headers:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode()

    def stays_open(self, connection: Connection, request: Request) -> bool:
        """Kept alive, unless the client or the stop ends it, or a body was left unread."""
        return request.keeps_alive and not self.stopping.is_set() and not request.unread


def ask_sink(url: str) -> bool:
    """One call to the downstream; True when it answered well."""
    address, _, prefix = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    body = b'{"key": "%d-%d"}' % (os.getpid(), threading.get_ident())
    head = (
        f"POST {('/' + prefix).rstrip('/')}/work HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        with socket.create_connection((host, int(port or 80)), timeout=60) as sock:
            sock.sendall(head.encode() + body)
            return sock.makefile("rb").readline().split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def options(**more: object) -> argparse.Namespace:
    """The command line that every target understands; `more` adds options with their defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--work", type=float, default=1.0, help="seconds that long work takes")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds that the listener stays after the signal")
    parser.add_argument("--sink", default=os.environ.get("CHAOSKIT_SINK"), help="downstream that /slow?sink=1 asks")
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def main(server: type[Server], **more: object) -> None:
    """Run a server until it has ended."""
    sys.exit(server(options(**more)).run())
