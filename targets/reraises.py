"""Correct: drains, then ends by the very signal that told it to stop, as well-behaved Unix programs do."""

import os
import signal

from common import Server, main


class Reraises(Server):
    def finish(self) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        return 1  # never reached


if __name__ == "__main__":
    main(Reraises)
