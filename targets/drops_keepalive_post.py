"""Guilty: once told to stop, it reads a POST that comes on a kept-alive connection and closes 0.2 s later without an answer."""

import time

from common import Connection, Gone, Request, Server, main


class DropsKeepalivePost(Server):
    def answer(self, connection: Connection, request: Request) -> bool:
        if self.stopping.is_set() and connection.served and request.method == "POST":
            self.read_body(connection, request)
            time.sleep(0.2)
            connection.close_in_order()
            raise Gone
        return super().answer(connection, request)


if __name__ == "__main__":
    main(DropsKeepalivePost)
