"""Suspect: leaves only when its clients have closed their idle connections."""

from common import Server, main


class WaitsForIdle(Server):
    def end_idle(self) -> None:
        pass


if __name__ == "__main__":
    main(WaitsForIdle)
