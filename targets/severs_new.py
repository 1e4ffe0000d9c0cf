"""Guilty: takes new requests while it drains, and exits with the last held one, cutting the new in mid-answer."""

import os

from common import Request, Server, main


class SeversNew(Server):
    def refuses(self, request: Request) -> bool:
        return False

    def may_close(self) -> bool:
        return self.stopping.is_set() and not self.held

    def end_connections(self) -> None:
        os._exit(0)


if __name__ == "__main__":
    main(SeversNew)
