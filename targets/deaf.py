"""Guilty: stops accepting but leaves its listener open; whoever comes waits in the backlog and is reset at the end."""

from common import Server, main


class Deaf(Server):
    def accept_all(self) -> None:
        if not self.stopping.is_set():
            super().accept_all()

    def accept(self, timeout_s: float | None) -> None:
        if self.stopping.is_set():
            with self.changed:
                self.changed.wait(timeout_s)
            return
        super().accept(timeout_s)


if __name__ == "__main__":
    main(Deaf)
