"""Guilty: its 503 says `Retry-After: soon`, which is neither seconds nor a date (RFC 9110, 10.2.3)."""

from common import Connection, Request, Server, main


class BadRetryAfter(Server):
    def refuse(self, connection: Connection, request: Request) -> bool:
        self.respond(connection, request, 503, b"stopping\n", "Retry-After: soon", "Connection: close")
        return False


if __name__ == "__main__":
    main(BadRetryAfter)
