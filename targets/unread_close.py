"""Guilty: answers uploads with 503 and closes with their input unread; the reset erases the answer (RFC 9112, 9.6).

The answer sits in its send queue (a corked socket, as servers use to fill packets), so the loss is certain, not a race.
"""

import socket

from common import Connection, Gone, Request, Server, main, readable

CORK = getattr(socket, "TCP_CORK", 4)  # macOS: TCP_NOPUSH


class UnreadClose(Server):
    def read_body(self, connection: Connection, request: Request) -> None:
        while request.unread:
            more = connection.buffer or readable(connection.sock.fileno(), timeout_s=0.02)
            if self.stopping.is_set():
                self.vanish(connection, request)
            if more:
                connection.read_some_body(request)

    def refuse(self, connection: Connection, request: Request) -> bool:
        if request.length > len(connection.buffer):
            self.vanish(connection, request)
        return super().refuse(connection, request)

    def vanish(self, connection: Connection, request: Request) -> None:
        readable(connection.sock.fileno(), timeout_s=5)  # more of the body is there, and stays unread
        connection.sock.setsockopt(socket.IPPROTO_TCP, CORK, 1)
        self.respond(connection, request, 503, b"stopping\n", "Retry-After: 2", "Connection: close")
        connection.sock.close()
        raise Gone


if __name__ == "__main__":
    main(UnreadClose)
