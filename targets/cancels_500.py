"""Guilty: told to stop, it cancels what it holds; those clients get a 500."""

from common import Request, Server, main


class Cancels500(Server):
    def hold(self, request: Request) -> int:
        return 500 if self.stopping.wait(self.options.work) else 200


if __name__ == "__main__":
    main(Cancels500)
