"""Guilty where the platform watches readiness: says that it is ready for as long as it listens."""

from common import Connection, Request, Server, main


class StaysReady(Server):
    def answer_ready(self, connection: Connection, request: Request) -> bool:
        return self.respond(connection, request, 200, b"ready\n")


if __name__ == "__main__":
    main(StaysReady)
