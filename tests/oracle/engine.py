"""Runs the `thalweg` binary for the checks and keeps the count of what passed."""

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("THALWEG", ROOT / "target" / "debug" / "thalweg"))


class Tally:
    """What passed and failed; problems are printed as they come."""

    def __init__(self) -> None:
        self.passed = self.failed = 0
        self.last: list[str] = []

    def add(self, name: str, problems: list[str]) -> None:
        if problems:
            self.failed += 1
            shown = ["as before"] if problems == self.last else problems
            print(f"FAIL {name}", *shown, sep="\n     ", flush=True)
            self.last = problems
        else:
            self.passed += 1

    def close(self) -> int:
        """Prints the plain closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def need_binary() -> None:
    """Ends the program if there is no binary."""
    if not BINARY.exists():
        sys.exit(f"{BINARY} does not exist: run `cargo build -p thalweg`, or name another in THALWEG")


def run(file: pathlib.Path, variables: dict[str, object], *flags: str, timeout: float = 300) -> list[str]:
    """Runs a pipeline from the root of the repository; what went wrong, nothing if it ended well."""
    command = [str(BINARY), "run", str(file), "--quiet", *flags]
    for key, value in variables.items():
        command += ["-e", f"{key}={value}"]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return [f"still running after {time.monotonic() - started:.0f} s"]
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return [f"exit code {done.returncode}", *said[-12:]]
    return []
