"""Guilty: once told to stop, it keeps idle kept-alive connections open, reads nothing on them, and closes them last."""

from common import Connection, Server, main, readable


class DeafKeepalive(Server):
    def wait_for_request(self, connection: Connection) -> bool:
        came = super().wait_for_request(connection)
        if came and connection.served and self.stopping.is_set():
            readable(self.ending_r)
            return False
        return came


if __name__ == "__main__":
    main(DeafKeepalive)
