"""Guilty: told to stop, it never answers what it holds and never leaves; only SIGKILL ends it."""

import time

from common import Request, Server, main


class HangsHeld(Server):
    def hold(self, request: Request) -> int:
        if self.stopping.wait(self.options.work):
            time.sleep(3600)
        return 200


if __name__ == "__main__":
    main(HangsHeld)
