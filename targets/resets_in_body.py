"""Guilty: resets the connections that are in mid-body when it is told to stop."""

from common import Connection, Gone, Server, main


class ResetsInBody(Server):
    def send_chunk(self, connection: Connection, piece: bytes) -> None:
        self.reset_when_stopping(connection)
        super().send_chunk(connection, piece)

    def send_piece(self, connection: Connection, piece: bytes) -> None:
        self.reset_when_stopping(connection)
        super().send_piece(connection, piece)

    def reset_when_stopping(self, connection: Connection) -> None:
        if self.stopping.is_set():
            connection.reset()
            raise Gone


if __name__ == "__main__":
    main(ResetsInBody)
