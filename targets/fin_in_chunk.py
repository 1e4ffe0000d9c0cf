"""Guilty: ends chunked bodies in the middle of a chunk, with an orderly FIN, when it is told to stop."""

from common import Connection, Gone, Server, main


class FinInChunk(Server):
    def send_chunk(self, connection: Connection, piece: bytes) -> None:
        if not self.stopping.is_set():
            super().send_chunk(connection, piece)
            return
        connection.send(b"%x\r\n%s" % (len(piece), piece[: len(piece) // 2]))
        connection.close_in_order()
        raise Gone


if __name__ == "__main__":
    main(FinInChunk)
