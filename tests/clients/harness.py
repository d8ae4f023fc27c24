"""Starts the server under test and runs named checks; every client suite is written on top of it."""

import atexit
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
BINARY = pathlib.Path(os.environ.get("THALWEG", ROOT / "target" / "debug" / "thalweg"))

# Seconds after which a check that hangs is given up, so that the others still run.
PATIENCE = 15


class Server:
    """One `thalweg serve`; `url`, `host`, `port` and `http` say where it listens."""

    def __init__(self, data: pathlib.Path | None = None) -> None:
        if not BINARY.exists():
            sys.exit(f"{BINARY} does not exist: run `cargo build -p thalweg`, or name another in THALWEG")
        command = [str(BINARY), "serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        if data is not None:
            command += ["--data", str(data)]
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.url = self.process.stdout.readline().strip()
        self.http = self.process.stdout.readline().strip()
        found = re.fullmatch(r"postgres://root@([^:]+):(\d+)/dev", self.url)
        if not found:
            self.stop()
            sys.exit(f"the server did not start: {self.url!r}\n{self.said()}")
        self.host, self.port = found[1], int(found[2])

    def said(self) -> str:
        """The last lines of the server's log."""
        self.log.seek(0)
        return "".join(self.log.readlines()[-20:])

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        """Ends the server as a service manager would; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -9


class Hangs(Exception):
    """A check that did not end."""


class Suite:
    """The checks of one client; each is a function with the decorator `check`, run in the order written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checks: list = []

    def check(self, function):
        self.checks.append(function)
        return function

    def main(self, server: bool = True) -> None:
        """Runs all checks, or those whose names contain an argument of the command line, and exits."""
        wanted = sys.argv[1:]
        chosen = [f for f in self.checks if not wanted or any(word in f.__name__ for word in wanted)]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.server = Server() if server else None
        atexit.register(self.abandon)
        failed = sum(not self.run(function) for function in chosen)
        if self.server:
            died = not self.server.alive()
            code = self.server.stop()
            if died or code != 0:
                failed += 1
                print(f"FAIL {self.name}: the server ended with code {code}\n{self.server.said()}")
        print(f"{max(len(chosen) - failed, 0)} passed, {failed} failed", flush=True)
        sys.stdout.flush()
        # Not `sys.exit`: threads of a driver that still wait for the server would keep the process.
        self.abandon()
        os._exit(1 if failed or not chosen else 0)

    def abandon(self) -> None:
        """Leaves no server behind, however the suite ends."""
        if self.server and self.server.alive():
            self.server.process.kill()

    def run(self, function) -> bool:
        def give_up(*_) -> None:
            raise Hangs(f"still running after {PATIENCE} s")

        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(PATIENCE)
        try:
            function()
            return True
        except Exception as error:
            frames = [f for f in traceback.extract_tb(error.__traceback__) if str(ROOT / "tests") in f.filename]
            where = [f"{pathlib.Path(f.filename).name}:{f.lineno}: {f.line}" for f in frames[-2:]]
            said = f"{type(error).__name__}: {error}".strip().splitlines()
            print(f"FAIL {self.name}: {function.__name__}", *where, *said[:60], sep="\n     ", flush=True)
            if isinstance(error, Hangs) and self.server:
                # Whatever made it hang must not spoil the checks that follow.
                self.abandon()
                self.server = Server()
            return False
        finally:
            signal.alarm(0)


def same(found, wanted, about: str = "") -> None:
    """Fails unless the two are equal, and shows both."""
    if found != wanted:
        raise AssertionError(f"{about}\nfound  {found!r}\nwanted {wanted!r}".strip())


@contextlib.contextmanager
def fails(kind, word: str = ""):
    """The block must raise `kind` with `word` in the message."""
    try:
        yield
    except kind as error:
        if word.lower() not in str(error).lower():
            raise AssertionError(f"{word!r} is not in the message: {error}") from error
        return
    raise AssertionError(f"{getattr(kind, '__name__', kind)} was not raised")
