"""A small server for benchmarks: answers at once, or after the seconds in `/SECONDS`; `python server.py PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Served(asyncio.Protocol):
    """One connection; requests without bodies only."""

    __slots__ = ("transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        if path == b"/":
            self.transport.write(ANSWER * data.count(b"\r\n\r\n"))
        else:
            asyncio.get_running_loop().call_later(float(path[1:]), self.transport.write, ANSWER)


async def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Served, "127.0.0.1", int(sys.argv[1]), backlog=16384)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
