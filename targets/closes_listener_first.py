"""Guilty where the platform still sends new work: closes its listener before its readiness has turned."""

from common import Server, main


class ClosesListenerFirst(Server):
    def begin_stop(self) -> None:
        self.close_listener()
        super().begin_stop()


if __name__ == "__main__":
    main(ClosesListenerFirst)
