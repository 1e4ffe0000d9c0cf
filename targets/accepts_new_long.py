"""Guilty where REJECT was promised: takes new long requests after it was told to stop."""

from common import Request, Server, main


class AcceptsNewLong(Server):
    def refuses(self, request: Request) -> bool:
        return False


if __name__ == "__main__":
    main(AcceptsNewLong)
