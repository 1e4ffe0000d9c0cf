"""Guilty: new long requests get a 500 once it is told to stop, as where a pool is closed too early."""

from common import Connection, Request, Server, main


class ErrorsNew(Server):
    def refuse(self, connection: Connection, request: Request) -> bool:
        self.respond(connection, request, 500, b"the pool is closed\n", "Connection: close")
        return False


if __name__ == "__main__":
    main(ErrorsNew)
