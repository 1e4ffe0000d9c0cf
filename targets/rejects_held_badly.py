"""Guilty: gives what it holds a 503 without Retry-After; new requests get a clean one."""

from common import Connection, Request, main
from rejects_held import RejectsHeld


class RejectsHeldBadly(RejectsHeld):
    def refuse_held(self, connection: Connection, request: Request) -> bool:
        return self.respond(connection, request, 503, b"stopping\n")


if __name__ == "__main__":
    main(RejectsHeldBadly)
