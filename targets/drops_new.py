"""Guilty: takes new long requests once it is told to stop, and closes them without a byte."""

from common import Connection, Gone, Request, Server, main


class DropsNew(Server):
    def refuse(self, connection: Connection, request: Request) -> bool:
        connection.close_in_order()
        raise Gone


if __name__ == "__main__":
    main(DropsNew)
