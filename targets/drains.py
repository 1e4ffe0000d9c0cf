"""Correct: finishes what it holds, takes every new request until then, closes its listener last."""

from common import Request, Server, main


class Drains(Server):
    def refuses(self, request: Request) -> bool:
        return False


if __name__ == "__main__":
    main(Drains)
