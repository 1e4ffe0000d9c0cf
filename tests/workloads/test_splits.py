"""However an answer is cut into pieces, and whatever bytes come, a connection tells one end and the same one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.workloads.connection import Connection
from chaoskit.workloads.reading import Ended, Exchange, Reading

ANSWERS = [
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"),
    (
        "GET",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 503 Busy\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    ),
    (
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\n01234\r\n3\r\n567\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n0123456789"),
    ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123"),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n012"),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Le"),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
]
Told = tuple[Ended, int | None, str | None, int, str, str | None, bool]


class Listening(Exchange):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.ends: list[Told] = []

    def ended(self, how: Ended, reading: Reading, errno: int | None) -> None:  # noqa: ARG002
        framing = reading.framing if reading.head_done else None
        self.ends.append(
            (how, reading.status if reading.head_done else None, framing, reading.body_bytes, reading.digest,
             reading.retry_after, reading.head_done and reading.closes)
        )  # fmt: skip


def told(method: str, pieces: Iterable[bytes]) -> list[Told]:
    """What is told of these pieces and an end in order behind them."""
    exchange = Listening()
    connection = Connection(lambda: 1.0, lambda _how, _errno: None)
    connection.begin(exchange, method, keep_tail=False)
    for piece in pieces:
        if connection.reading() is not None:
            connection.data_received(piece)
    connection.eof_received()
    connection.connection_lost(None)
    return exchange.ends


def split(data: bytes, at: set[int]) -> list[bytes]:
    marks = [0, *sorted(each % (len(data) + 1) for each in at), len(data)]
    return [data[start:end] for start, end in pairwise(marks) if end > start]


@pytest.mark.parametrize(("method", "data"), ANSWERS)
@given(at=st.sets(st.integers(0, 300), max_size=12))
@settings(max_examples=25, deadline=None, database=None)
def test_the_way_an_answer_is_cut_into_pieces_changes_nothing(method: str, data: bytes, at: set[int]) -> None:
    whole = told(method, [data])
    assert len(whole) == 1
    assert told(method, split(data, at)) == whole
    assert told(method, [data[place : place + 1] for place in range(len(data))]) == whole


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=200), max_size=8),
    start=st.sampled_from([b"", *(data for _, data in ANSWERS)]),
)
@settings(max_examples=100, deadline=None, database=None)
def test_whatever_bytes_come_exactly_one_end_is_told(pieces: list[bytes], start: bytes) -> None:
    assert len(told("GET", [start, *pieces] if start else pieces)) == 1
