"""Guilty: drains, and then exits with 3."""

from common import Server, main


class WrongExit(Server):
    def finish(self) -> int:
        return 3


if __name__ == "__main__":
    main(WrongExit)
