"""A call passed on to a server of the user's: it answers, we hold and record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaoskit.downstream.calls import Call, Reply

if TYPE_CHECKING:
    import requests

FORWARD_S = 9.0  # less than what a user's code may take, so that its own words are told
# RFC 9110, 7.6.1, and what is true of one hop's body only
HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade "
    "host content-length content-encoding expect http2-settings".split()
)


def forwarded(base: str, call: Call) -> Reply:
    """The answer of the server at `base` to the same call.

    Raises:
        requests.RequestException: there was none.
    """
    answer = _session().request(
        call.method,
        f"{base}{call.path}{'?' if call.query else ''}{call.query}",
        data=call.body,
        headers={name: value for name, value in call.headers.items() if name not in HOP | {"accept-encoding"}}
        | {"accept-encoding": "identity"},
        timeout=FORWARD_S,
        allow_redirects=False,
    )
    headers = tuple((name, value) for name, value in answer.headers.items() if name.lower() not in HOP)
    return Reply(answer.status_code, answer.content, headers)


def _session() -> requests.Session:
    import requests

    session = requests.Session()
    session.trust_env = False  # no proxy between us
    session.headers.clear()
    return session
