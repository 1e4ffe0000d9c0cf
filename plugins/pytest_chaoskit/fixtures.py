"""The fixtures that tests request (PYTEST_DONT_REWRITE)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_chaoskit import options

if TYPE_CHECKING:
    from chaoskit import Harness, Profile
    from chaoskit.downstream.server import SinkServer
    from chaoskit.downstream.sink import Sink


@pytest.fixture
def chaos(
    request: pytest.FixtureRequest,
    _chaos_gate: None,
    chaos_settings: dict[str, Any],
    chaos_profile: Profile | str | None,
    chaos_sink: Sink,  # noqa: ARG001 - emptied for this test, whether it looks at it or not
    chaos_sink_server: SinkServer,
    _chaos_library: SimpleNamespace,
) -> Iterator[Harness]:
    """Strike systems while they hold work: terminate, kill, pause, strike, their -ing forms, aio and launch."""
    from pytest_chaoskit import bench

    harness = bench.open_harness(request, _chaos_library, chaos_sink_server, chaos_settings, chaos_profile)
    yield harness
    harness.close()


@pytest.fixture
def chaos_sink(chaos_sink_server: SinkServer) -> Iterator[Sink]:
    """What the system calls, owned by this test: records its effects, gives the answers that the test declares."""
    sink = chaos_sink_server.sink
    sink.reset()
    yield sink
    sink.reset()  # the next test may strike without asking for it


@pytest.fixture
def chaos_dir(request: pytest.FixtureRequest, _chaos_gate: None) -> Path:
    """A folder for this test's own files, beside its run folders."""
    from pytest_chaoskit import folders

    return folders.own(request.config, request.node.nodeid)


@pytest.fixture(scope="session")
def chaos_sink_server(_chaos_library: SimpleNamespace) -> Iterator[SinkServer]:
    """The address that systems call: `chaos_sink_server / "v1"` in `env` becomes one that the instance can reach."""
    import shutil
    import tempfile

    record_dir = Path(tempfile.mkdtemp(prefix="chaoskit-sink-"))
    server = _chaos_library.SinkServer(record_dir)
    server.start()
    yield server
    server.close()
    shutil.rmtree(record_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def chaos_settings() -> dict[str, Any]:
    """Defaults of this folder's chaos tests; override it in a conftest: {"profile": "kubernetes", "grace_s": 20}."""
    return {}


@pytest.fixture
def chaos_profile() -> Profile | str | None:
    """The platform whose stop is played; override it, or parametrise it to try several."""
    return None


@pytest.fixture
def _chaos_gate(request: pytest.FixtureRequest) -> None:
    """Skip a test that reached for `chaos` without saying so at collection."""
    from pytest_chaoskit.summary import SKIP_REASON

    if not options.enabled(request.config):
        pytest.skip(SKIP_REASON)


@pytest.fixture(scope="session")
def _chaos_library() -> SimpleNamespace:
    """The library, imported when the first chaos test runs; our own tests put small fakes here."""
    from chaoskit.downstream.server import SinkServer
    from pytest_chaoskit.harness import TestHarness

    return SimpleNamespace(Harness=TestHarness, SinkServer=SinkServer)
