"""The applications that the real servers of the scorecard run: one short path, one that takes a second, a readiness path.

Each server gets its application in its own framework's form: WSGI, ASGI, aiohttp, tornado; `SLOW_S` is how long /slow takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

SLOW_S = float(os.environ.get("SLOW_S", "1.0"))
BODY = b"whole answer\n"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW_S)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOW_S)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def run_aiohttp(port: int) -> None:
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(SLOW_S)
        return web.Response(body=BODY)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def run_tornado(port: int) -> None:
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        async def get(self, path: str) -> None:
            if path == "slow":
                await asyncio.sleep(SLOW_S)
            self.finish(BODY)

    async def main() -> None:
        tornado.web.Application([(r"/(.*)", Handler)]).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(main())


def run_flask(port: int) -> None:
    from flask import Flask

    app = Flask("shop")

    @app.get("/<path>")
    def handle(path: str) -> bytes:
        if path == "slow":
            time.sleep(SLOW_S)
        return BODY

    app.run("127.0.0.1", port)


if __name__ == "__main__":
    {"aiohttp": run_aiohttp, "tornado": run_tornado, "flask": run_flask}[sys.argv[1]](int(sys.argv[2]))
