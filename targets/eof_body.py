"""Correct: its streamed answer has no length; the end of the connection is the end of the body (RFC 9112, 6.3)."""

from common import Connection, Request, Server, main


class EofBody(Server):
    def stream(self, connection: Connection, request: Request) -> bool:
        connection.send(self.head(request, 200, "Connection: close"))
        for piece in self.pieces():
            connection.send(piece)
        connection.send(b"END\n")
        return False


if __name__ == "__main__":
    main(EofBody)
