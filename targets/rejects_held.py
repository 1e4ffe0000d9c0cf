"""Guilty where DRAIN was promised: gives what it holds a clean 503 before the first byte of a body."""

from common import Connection, Request, Server, main


class RejectsHeld(Server):
    def slow(self, connection: Connection, request: Request) -> bool:
        self.invite_body(connection, request)
        self.read_body(connection, request)
        if self.stopping.wait(self.options.work):
            return self.refuse_held(connection, request)
        return self.respond(connection, request, 200, b'{"done": true}\n')

    def refuse_held(self, connection: Connection, request: Request) -> bool:
        return self.refuse(connection, request)


if __name__ == "__main__":
    main(RejectsHeld)
