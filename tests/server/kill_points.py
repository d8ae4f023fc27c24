"""The places at which a debug build of the server can be made to end: see `crates/core/src/failpoint.rs`."""

import collections
import re

from harness import ROOT

# Once in the life of a data directory: they are come to when a new one is opened.
FIRST = {"log.created", "log.begun"}
# When the server is asked to stop.
STOP = {"stop.checkpointed", "stop.ended", "stop.closed"}
# A moment of every start: the first time counts.
START = ("hub.recover.", "checkpoint.loaded", "checkpoint.opened", "start.", "intake.read_back", "intake.put_back", "delivery.opened")


def all_points() -> list[str]:
    """The names of all places, from where they are used."""
    found = set()
    for file in (ROOT / "crates").rglob("*.rs"):
        found |= set(re.findall(r'failpoint!\(\s*"([^"]+)"', file.read_text()))
    if len(found) < 50:
        raise RuntimeError(f"only {len(found)} failpoints were found")
    return sorted(found)


class Coverage:
    """At which places the server has died, and how often."""

    def __init__(self) -> None:
        self.died, self.missed = collections.Counter(), collections.Counter()
        # Of the round that is under way, those that are still to be tried.
        self.left: list[str] = []

    def note(self, point: str, died: bool) -> None:
        (self.died if died else self.missed)[point] += 1

    def table(self) -> str:
        points = sorted(self.died.keys() | self.missed.keys())
        rows = [f"  {point:<32} {self.died[point]:>4} {self.missed[point] or '':>4}" for point in points]
        never = [point for point in points if not self.died[point]]
        head = f"  {'failpoint':<32} {'died':>4} {'not reached':>4}"
        return "\n".join([head, *rows, f"died at {len(points) - len(never)} of {len(all_points())} failpoints; tried and not reached: {', '.join(never) or 'none'}"])
