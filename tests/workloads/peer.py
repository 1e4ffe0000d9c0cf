"""A scripted TCP peer: a plain listening socket whose script plays each connection in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

LIMIT_S = 20.0

Script = Callable[["Wire"], object]


class Wire:
    """One accepted connection in a script's hands."""

    def __init__(self, sock: socket.socket, number: int, over: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self.over = over
        self.seen = b""

    def request(self) -> bytes:
        """Read one head and the body that its Content-Length announces."""
        data = self.until(b"\r\n\r\n")
        head, _, rest = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(rest) < length:
            piece = self.sock.recv(65536)
            if not piece:
                break
            rest += piece
        return head + b"\r\n\r\n" + rest

    def until(self, mark: bytes) -> bytes:
        """Read up to and with `mark`, perhaps more."""
        data = b""
        while mark not in data:
            piece = self.sock.recv(65536)
            if not piece:
                return data
            data += piece
        return data

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.sock.sendall(data)

    def fin(self) -> None:
        """End in order."""
        self.sock.close()

    def rst(self) -> None:
        """End with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def rest(self) -> bytes:
        """Everything up to the client's own close."""
        data = b""
        with contextlib.suppress(OSError):
            while piece := self.sock.recv(65536):
                data += piece
        return data


class Peer:
    """Listens while the block runs; `port` is where, `accepted` how many came."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []
        self._wires: list[Wire] = []
        self.over = threading.Event()
        self.port: int = self._listener.getsockname()[1]

    @property
    def accepted(self) -> int:
        return len(self._wires)

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in self._wires:
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(LIMIT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock, len(self._wires), self.over)
            self._wires.append(wire)
            thread = threading.Thread(target=self._play, args=(wire,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, wire: Wire) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                wire.sock = self._tls.wrap_socket(wire.sock, server_side=True)
            self._script(wire)
        with contextlib.suppress(OSError):
            wire.sock.close()
