"""Guilty: serves one connection at a time; those that wait in the backlog die with its listener."""

from common import Connection, Request, Server, main


class OneAtATime(Server):
    def accept_all(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        self.serve(Connection(sock))

    def stays_open(self, connection: Connection, request: Request) -> bool:
        return False

    def may_close(self) -> bool:
        return self.stopping.is_set()

    def close_listener(self) -> None:
        self.listener.close()


if __name__ == "__main__":
    main(OneAtATime)
