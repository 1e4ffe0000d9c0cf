"""Guilty: drains, and then aborts in its teardown."""

import os
import resource

from common import Server, main


class CrashesAtExit(Server):
    def finish(self) -> int:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file for a crash on purpose
        os.abort()


if __name__ == "__main__":
    main(CrashesAtExit)
