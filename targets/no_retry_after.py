"""Guilty: refuses new long work with a 503 that does not say when to come back."""

from common import Connection, Request, Server, main


class NoRetryAfter(Server):
    def refuse(self, connection: Connection, request: Request) -> bool:
        self.respond(connection, request, 503, b"stopping\n", "Connection: close")
        return False


if __name__ == "__main__":
    main(NoRetryAfter)
