"""What goes wrong: faults for `chaos.strike(system, fault=...)`."""

from chaoskit.faults.base import AtStart, Fault, Hand, Kill, Pause, Terminate, Twice

__all__ = ["AtStart", "Fault", "Hand", "Kill", "Pause", "Terminate", "Twice"]
