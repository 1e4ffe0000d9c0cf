"""Guilty: leaves a child with a listener behind, in a session of its own, deaf to SIGTERM."""

import os
import signal
import socket
import time

from common import Server, main

LIFE_S = 30  # it ends by itself where nobody looks for it


class Orphan(Server):
    def listen(self) -> socket.socket:
        port = socket.create_server((self.options.host, 0))
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.setsid()
            time.sleep(LIFE_S)
            os._exit(0)
        port.close()
        return super().listen()


if __name__ == "__main__":
    main(Orphan)
