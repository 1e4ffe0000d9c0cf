"""Guilty: gives what it holds a moment, less than it needs and less than the platform would give, and exits."""

import os
import threading

from common import Server, main


class GivesUpEarly(Server):
    def on_stop(self) -> None:
        threading.Timer(self.options.patience, os._exit, (0,)).start()


if __name__ == "__main__":
    main(GivesUpEarly, patience=0.3)
