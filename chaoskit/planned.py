"""What a run says about itself before it begins: promises, platform, versions."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from pathlib import Path

from chaoskit.drivers.sockets import oracle_name
from chaoskit.history.facts import ProfilePlanned, RunPlanned, WorkloadPlanned
from chaoskit.plan import Plan


def planned(plan: Plan, loop: str) -> RunPlanned:
    """The first fact of a run: what is promised, and what is going to be done."""
    profile = plan.profile
    hook = profile.pre_stop_s
    command = plan.system.command
    return RunPlanned(
        run=plan.run_dir.name,
        system=plan.name,
        command=command if isinstance(command, str) else shlex.join(str(each) for each in command),
        fault=plan.fault.kind,
        profile=ProfilePlanned(
            name=profile.name,
            signal=profile.signal,
            to=profile.to,
            grace_s=profile.grace_s,
            pre_stop_s=0.0 if isinstance(hook, str) else float(hook),
            pre_stop_counts=profile.pre_stop_counts,
            propagation_s=profile.propagation_s,
            pre_stop_command=hook if isinstance(hook, str) else None,
        ),
        workloads=_workloads(plan),
        moment=str(plan.moment),
        readiness=readiness_path(plan.system if plan.via is None else plan.via),
        exit_code=plan.exit_code,
        budget_s=plan.budget_s,
        oracle=oracle_name(),
        loop=loop,
        platform=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        chaoskit=version("chaoskit"),
        idle_close_share=plan.idle_close_share,
        test=plan.test,
    )


def _workloads(plan: Plan) -> tuple[WorkloadPlanned, ...]:
    made = [
        WorkloadPlanned(
            index=index,
            kind="requests",
            targets=tuple(str(target) for target in each.targets),
            disposition=each.disposition.value,
            clients=each.clients,
            hold_at_least=each.hold_at_least,
            rate=each.rate,
            new=None if each.new is None else str(each.new),
            expect=each.expect,
            idle=each.idle,
            silent=each.silent,
            via=each.via is not None,
        )
        for index, each in enumerate(plan.workloads)
    ]
    if plan.own:
        made.append(
            WorkloadPlanned(
                index=len(made),
                kind="own",
                targets=(),
                disposition="drain",
                clients=0,
                hold_at_least=0 if made else 1,  # beside `during=` the block may do what it likes
            )
        )
    return tuple(made)


def readiness_path(system: object) -> str | None:
    """The path that tells whether a system is ready, where it has one."""
    ready = getattr(system, "ready", None)
    return ready if isinstance(ready, str) and ready.startswith("/") else None


def version(package: str) -> str:
    """The installed version of a distribution."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def version_of(argv: tuple[str, ...]) -> str | None:
    """`gunicorn 27.0.1` where the program is a script of an installed package."""
    name = Path(argv[0]).name
    if name.startswith("python") and len(argv) > 2 and argv[1] == "-m":  # noqa: PLR2004
        name = argv[2].split(".", maxsplit=1)[0]
    found = version(name)
    return None if found == "unknown" else f"{name} {found}"
