"""Guilty: exits the moment it is told to stop, with the work in its hands."""

import os

from common import Server, main


class SeversAtOnce(Server):
    def on_stop(self) -> None:
        os._exit(0)


if __name__ == "__main__":
    main(SeversAtOnce)
