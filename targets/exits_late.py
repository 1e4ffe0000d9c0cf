"""Guilty: drains in time, and then takes longer to tear down than any platform waits."""

import time

from common import Server, main


class ExitsLate(Server):
    def finish(self) -> int:
        time.sleep(self.options.teardown)
        return 0


if __name__ == "__main__":
    main(ExitsLate, teardown=60.0)
