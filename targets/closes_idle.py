"""Correct: closes idle kept-alive connections, in order, the moment it is told to stop."""

from common import Server, main


class ClosesIdle(Server):
    def on_stop(self) -> None:
        self.end_idle()


if __name__ == "__main__":
    main(ClosesIdle)
