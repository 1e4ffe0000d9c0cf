"""Correct: told to stop, it starts a successor on the same port (SO_REUSEPORT), drains, and leaves last.

New requests, long ones too, are answered by the successor: nobody may hold them against the one that was struck.
"""

import ctypes
import socket
import struct
import subprocess
import sys
import threading

from common import Server, main

SO_ATTACH_REUSEPORT_CBPF = 51  # Linux, asm-generic/socket.h


class Handover(Server):
    successor: subprocess.Popen[bytes] | None = None

    def listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((self.options.host, self.options.port))
        listener.listen(512)
        listener.settimeout(0)
        if self.options.successor:
            threading.Thread(target=self.stop_with_the_first, daemon=True).start()
        return listener

    def stop_with_the_first(self) -> None:
        sys.stdin.buffer.read()  # its end is the other's closing of the pipe, or the other's death
        self.tell()

    def on_stop(self) -> None:
        if self.options.successor:
            return
        command = [sys.executable, *sys.argv, "--port", str(self.options.port), "--successor", "1"]
        self.successor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.successor.stdout.readline()  # it listens
        send_new_ones_to_the_second(self.listener)
        self.close_listener()

    def finish(self) -> int:
        if self.successor:
            self.successor.stdin.close()
            return self.successor.wait()
        return 0


def send_new_ones_to_the_second(listener: socket.socket) -> None:
    """A program for the kernel, `return 1`: connections that it still hands to us would die with our listener."""
    if not sys.platform.startswith("linux"):
        return
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 1), 8)
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", 1, ctypes.addressof(program)))


if __name__ == "__main__":
    main(Handover, successor=0)
