"""The facts that observers report: a closed union of plain values.

Times named `*_s` inside a fact are seconds on the run's own clock, the clock of `Event.at_s`, unless the name says
`after_s` or `late_s` (differences). A request's number is unique in its run and is the `#7` of a report.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True, kw_only=True):
    """One thing that was seen."""

    #: Facts that checks never need in order to accuse: shown only when a timeline is asked for in full.
    detail: ClassVar[bool] = False


# ---- the plan ------------------------------------------------------------------------------------------------


class ProfilePlanned(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The platform whose stop is played, as numbers."""

    name: str
    signal: str
    to: str
    grace_s: float
    pre_stop_s: float
    pre_stop_counts: bool
    propagation_s: float
    pre_stop_command: str | None = None


class WorkloadPlanned(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """One kind of work and its promise. `index` is the `workload` of its requests."""

    index: int
    kind: str  # "requests" or "own" (a user's own client in an -ing block)
    targets: tuple[str, ...]  # "GET /export"
    disposition: str
    clients: int
    hold_at_least: int
    rate: float | None = None
    new: str | None = None  # target of the new work that is not of the held kind
    expect: str | None = None
    idle: int = 0
    silent: int = 0
    via: bool = False


class RunPlanned(Fact, frozen=True):
    """What the owner promised, and what was going to be done: always the first fact."""

    run: str
    system: str
    command: str
    fault: str  # "terminate", "kill", "pause", "twice", ...
    profile: ProfilePlanned
    workloads: tuple[WorkloadPlanned, ...]
    moment: str  # the moment in words
    readiness: str | None  # the readiness path, where there is one
    exit_code: int | None = None  # asked for by the user
    budget_s: float | None = None  # asked for by the user
    oracle: str | None = None  # "sock_diag", "proc" or None: how connections are seen from the system's side
    loop: str = ""  # "uvloop" or "asyncio"
    platform: str = ""
    chaoskit: str = ""
    idle_close_share: float = 0.8  # of the grace: when our idle connections are closed
    test: str | None = None  # node id of the test, where there is one


class Noted(Fact, frozen=True):
    """Something that the reader should know and that accuses nobody."""

    kind: str
    message: str


# ---- instances -----------------------------------------------------------------------------------------------


class InstanceLaunched(Fact, frozen=True):
    """A process was started. `role` is struck, front, beside or replacement."""

    instance: str
    role: str
    pid: int
    command: str
    host: str
    port: int | None
    version: str | None = None


class InstanceReady(Fact, frozen=True):
    """The system said that it is ready; `how` is its readiness in words."""

    instance: str
    after_s: float
    how: str


class InstanceExited(Fact, frozen=True):
    """The leader is gone: a `code`, or the name of the `signal` that ended it."""

    instance: str
    code: int | None
    signal: str | None
    exited_s: float


class ListenerClosed(Fact, frozen=True):
    """No listening socket on the struck instance's port any more, seen by the oracle (or by a refused connect).

    `last_seen_s` is when it was last seen there: it closed between the two.
    """

    instance: str
    port: int
    last_seen_s: float
    known_by: str


class LeftBehind(Fact, frozen=True):
    """Processes or listeners of a gone leader. Recorded once at its exit and once 1 s later while any is there.

    `after_s` counts from the leader's exit. The one with `final` true is the last look.
    """

    instance: str
    pids: tuple[int, ...]
    names: tuple[str, ...]
    listeners: tuple[int, ...]
    after_s: float
    final: bool


class ChildrenSeen(Fact, frozen=True):
    """How many processes besides the leader the tree had at the signal."""

    instance: str
    pids: tuple[int, ...]
    names: tuple[str, ...]


# ---- the strike ----------------------------------------------------------------------------------------------


class MomentReached(Fact, frozen=True):
    """The moment of the plan came; `planned_s` is the instant that the strike aims at."""

    moment: str
    planned_s: float
    after_s: float  # since the last held request was sent


class MomentMissed(Fact, frozen=True):
    """The moment did not come within its time: nothing was struck. `reason` tells the user what to do."""

    moment: str
    within_s: float
    reason: str


class WorkInHand(Fact, frozen=True):
    """Which requests were in the system's hands. Recorded at the strike and again just before the signal.

    in_hand: accepted and read, no whole answer yet (the proof is `known_by`); unread: accepted, bytes not read;
    backlog: waiting in the kernel, not accepted; elsewhere: a front has it, the struck instance's sockets do not;
    unseen: sent, and nothing tells where it is. Together they are all requests sent and not yet answered.
    """

    in_hand: tuple[int, ...]
    unread: tuple[int, ...]
    backlog: tuple[int, ...]
    elsewhere: tuple[int, ...]
    unseen: tuple[int, ...]
    known_by: str | None  # gate, socket_oracle, first_byte, log_line, elapsed
    gate_calls: int
    own: int = 0  # connections of a user's own client that were in hand


class StopActionTaken(Fact, frozen=True):
    """The platform begins: pre-stop runs, propagation and deadline clocks start here."""

    instance: str
    deadline_s: float


class PreStopEnded(Fact, frozen=True):
    """The pre-stop hook is over; `code` is its exit code where it was a command."""

    instance: str
    after_s: float
    code: int | None


class SignalSent(Fact, frozen=True):
    """A signal went out. `reason` is stop, deadline, again, pause, resume, start_up or kill.

    `sent_s` is when the kernel took it; `late_s` is that minus the planned instant.
    """

    instance: str
    signal: str
    to: str
    pids: tuple[int, ...]
    planned_s: float
    sent_s: float
    late_s: float
    reason: str
    path: str  # "pidfd", "kill", "killpg"


class GraceExpired(Fact, frozen=True):
    """The deadline came while something of the tree was alive."""

    instance: str


# ---- requests ------------------------------------------------------------------------------------------------
# A request ends in exactly one of ResponseReceived, RequestLost, RequestHung, ConnectFailed; or in none, when the run
# was cut short.


class RequestSent(Fact, frozen=True):
    """The head of a request was written to an established connection.

    purpose: work (the workload's own: held when open at the signal, else new), new (the twice-a-second new work),
    readiness, idle (a kept-alive connection reused), rehearsal, warm (opens an idle connection).
    """

    request: int
    purpose: str
    workload: int  # -1: none
    method: str
    target: str
    connection: int
    client_port: int
    opened_s: float  # when the connect began, or the request was due on a kept-alive connection
    reused: bool


class FirstByteReceived(Fact, frozen=True):
    """The first byte of the answer is here (recorded for `work` requests)."""

    request: int


class BodyReached(Fact, frozen=True):
    """The body has reached a byte count that a moment asked for."""

    request: int
    body_bytes: int


class BodySent(Fact, frozen=True):
    """The whole request body has been written (recorded where the body was uploaded slowly)."""

    request: int
    sent_bytes: int


class ResponseReceived(Fact, frozen=True):
    """A whole answer. framing: sized, chunked, eof (delimited by the connection's end) or none."""

    request: int
    status: int
    framing: str
    body_bytes: int
    body_digest: str  # first 16 hex digits of SHA-256 over the body as sent
    retry_after: str | None  # the header as it stood
    closes: bool  # the answer said `Connection: close` (or is HTTP/1.0 without keep-alive)
    first_byte_s: float
    expected: bool | None = None  # whether the body ended with what `expect` asked; None: nothing was asked
    body_unsent: int = 0  # request bytes that the server had not taken when it answered


class RequestLost(Fact, frozen=True):
    """The connection ended, or broke, before the answer was whole.

    loss: closed_without_byte, reset_without_byte, cut_in_head, cut_in_body, malformed, too_large.
    by: fin, rst, tls (closed without close_notify in mid-answer), parser, limit.
    """

    request: int
    loss: str
    by: str
    errno: int | None
    status: int | None
    framing: str | None
    body_bytes: int
    expected_bytes: int | None
    sent_bytes: int  # request bytes handed to the kernel
    detail_text: str = ""
    body_unsent: int = 0  # request bytes that it had not taken: with a reset, the body was not being read


class RequestHung(Fact, frozen=True):
    """We gave the request up: no whole answer by its own deadline."""

    request: int
    status: int | None
    body_bytes: int
    waited_s: float


class ConnectFailed(Fact, frozen=True):
    """No connection, so nothing was sent. loss: refused, timed_out, unreachable, tls."""

    request: int
    purpose: str
    workload: int
    method: str
    target: str
    opened_s: float
    loss: str
    errno: int | None
    detail_text: str = ""


class RequestAccepted(Fact, frozen=True):
    """The oracle saw the request's connection leave the backlog (recorded after the signal, and for held work).

    owner: struck, other (another instance or a process that started after the signal), unknown.
    """

    request: int
    pid: int | None
    owner: str


class RequestRead(Fact, frozen=True):
    """The oracle saw that the application had read the request's bytes (for held work, and after the signal)."""

    request: int


class ConnectionOpened(Fact, frozen=True):
    """A connection without a request in flight. purpose: idle or silent."""

    connection: int
    purpose: str
    client_port: int


class ConnectionEnded(Fact, frozen=True):
    """A connection ended outside a request. by: server or client; how: fin, rst, tls (no close_notify).

    after_answer: it ended in the same instant as a whole answer (a reset there can erase what was sent).
    """

    connection: int
    purpose: str
    by: str
    how: str
    request: int | None = None  # the last one that it carried
    after_answer: bool = False


# ---- a user's own client (an -ing block): what the struck side's sockets showed --------------------------------


class OwnConnectionEnded(Fact, frozen=True):
    """A connection of a user's own client that was in hand at the signal.

    outcome: answered (response bytes reached the client's kernel after the signal and it closed in order or went on),
    severed (the instance died with no answer byte acknowledged since the signal), untold.
    """

    client_port: int
    outcome: str
    acked_bytes: int
    unsent_bytes: int


class BlockEnded(Fact, frozen=True):
    """The user's -ing block is over; `raised` is the exception's type and text, where there was one."""

    raised: str | None


# ---- downstream ----------------------------------------------------------------------------------------------


class CallArrived(Fact, frozen=True):
    """The system called the sink. `instance` is the one whose sink port was called."""

    call: int
    instance: str
    method: str
    path: str
    key: str | None
    held: bool


class CallReleased(Fact, frozen=True):
    """A held call was let go. how: released, caller_left, run_ended."""

    call: int
    how: str


class CallEnded(Fact, frozen=True):
    """A call has its answer (`status`), or its caller left before it (None)."""

    call: int
    status: int | None


class EffectApplied(Fact, frozen=True):
    """A side effect took place, durable before it was answered."""

    call: int
    instance: str
    key: str | None
    payload_digest: str
    repeated: bool = False


# ---- log and harness -----------------------------------------------------------------------------------------


class LogMatched(Fact, frozen=True):
    """A line of the system's log carries the text that a moment asked for."""

    instance: str
    text: str
    line: str


class HarnessStalled(Fact, frozen=True):
    """Our own loop was late: what was seen around this instant may be our doing."""

    late_s: float


class RunEnded(Fact, frozen=True):
    """Always the last fact of a run that was not cut short. how: judged, missed, interrupted."""

    how: str


AnyFact = (
    RunPlanned
    | Noted
    | InstanceLaunched
    | InstanceReady
    | InstanceExited
    | ListenerClosed
    | LeftBehind
    | ChildrenSeen
    | MomentReached
    | MomentMissed
    | WorkInHand
    | StopActionTaken
    | PreStopEnded
    | SignalSent
    | GraceExpired
    | RequestSent
    | FirstByteReceived
    | BodyReached
    | BodySent
    | ResponseReceived
    | RequestLost
    | RequestHung
    | ConnectFailed
    | RequestAccepted
    | RequestRead
    | ConnectionOpened
    | ConnectionEnded
    | OwnConnectionEnded
    | BlockEnded
    | CallArrived
    | CallReleased
    | CallEnded
    | EffectApplied
    | LogMatched
    | HarnessStalled
    | RunEnded
)
