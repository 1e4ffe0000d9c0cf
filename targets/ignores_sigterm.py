"""Guilty: does not hear that it is told to stop, and serves until it is killed."""

import signal

from common import Server, main


class IgnoresSigterm(Server):
    def handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main(IgnoresSigterm)
