"""What the checks share: a server in a process of its own, a count of what passed, and plain HTTP."""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import psycopg

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("THALWEG", ROOT / "target" / "debug" / "thalweg"))
START_SECONDS = 60.0


def seconds(name: str, default: float) -> float:
    """A length from the environment."""
    return float(os.environ.get(name, default))


def eventually(what, patience: float = 60) -> bool:
    """Whether `what()` comes true."""
    deadline = time.monotonic() + patience
    while not (done := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(done)


class Tally:
    """What passed and failed; problems are printed as they come."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def add(self, name: str, problems: list[str]) -> None:
        if problems:
            self.failed += 1
            print(f"FAIL {name}", *problems[:20], sep="\n     ", flush=True)
        else:
            self.passed += 1

    def run(self, name: str, check, *args) -> None:
        """Adds what `check` returns: a text, a list of texts, or nothing when all is well. What it raises is one."""
        try:
            problems = check(*args) or []
        except Exception as error:  # noqa: BLE001 - a check that breaks has failed
            where = traceback.extract_tb(error.__traceback__)[-1]
            problems = [f"{type(error).__name__}: {error} ({pathlib.Path(where.filename).name}:{where.lineno})"]
        self.add(name, [problems] if isinstance(problems, str) else list(problems))

    def close(self) -> int:
        """Prints the plain closing line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


class Server:
    """`thalweg serve`, or another `command` that runs a server, on free ports of loopback, or of `host`. `crash_at`: the
    failpoint at which it is to die, `NAME:N`."""

    def __init__(
        self,
        *flags: str,
        command: str = "serve",
        host: str = "127.0.0.1",
        log: str = "warn",
        patience: float = START_SECONDS,
        crash_at: str | None = None,
    ) -> None:
        if not BINARY.exists():
            sys.exit(f"{BINARY} does not exist: run `cargo build -p thalweg`, or name another in THALWEG")
        self._log = tempfile.NamedTemporaryFile(prefix="thalweg-log-", suffix=".txt")
        arguments = [str(BINARY), command, "--pg", f"{host}:0", "--http", f"{host}:0", "--log", log, *flags]
        environment = {**os.environ, "NO_COLOR": "1", "RUST_BACKTRACE": "0"}
        environment |= {"THALWEG_CRASH_AT": crash_at} if crash_at else {}
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )
        self.said = b""
        self.pg = self.http = 0
        os.set_blocking(self.process.stdout.fileno(), False)
        deadline = time.monotonic() + patience
        while not (self.pg and self.http):
            ended = self.process.poll() is not None
            self.said += self.process.stdout.read() or b""
            ports = re.findall(rb"^(postgres|https?)://(?:\w+@)?[^\s/]*:(\d+)", self.said, re.M)
            self.pg = next((int(port) for kind, port in ports if kind == b"postgres"), 0)
            self.http = next((int(port) for kind, port in ports if kind != b"postgres"), 0)
            if ended or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start (exit code {self.process.returncode}): {self.log()[-2000:]}")
            time.sleep(0.02)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self, patience: float = 40) -> int:
        """Asks it to end; its exit code."""
        self.ask_to_stop()
        return self.process.wait(patience)

    def log(self) -> str:
        """All that it has logged."""
        return pathlib.Path(self._log.name).read_text(errors="replace")

    def panics(self) -> list[str]:
        return [line for line in self.log().splitlines() if "panicked at" in line]

    def rss_kib(self) -> int:
        """Resident memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def connect(self, user: str = "root", **more: object) -> psycopg.Connection:
        """A session in autocommit mode."""
        known = {"host": "127.0.0.1", "port": self.pg, "dbname": "dev", "connect_timeout": 20, "autocommit": True}
        return psycopg.connect(**{**known, "user": user, **more})

    def request(self, method: str, path: str, body=None, headers=None, timeout: float = 60, tls=None):
        """One HTTP request: status, headers, text."""
        if tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.http, timeout=timeout, context=tls)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def sql(self, text: str, headers=None, tls=None):
        """A statement over HTTP: status and the object that came."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        status, _, text = self.request("POST", "/v1/sql", json.dumps({"sql": text}), headers, tls=tls)
        return status, json.loads(text)

    def ingest(self, relation: str, rows: list[dict], headers=None):
        """Rows over HTTP: status and text."""
        body = "".join(json.dumps(row) + "\n" for row in rows)
        headers = {"Content-Type": "application/x-ndjson", **(headers or {})}
        status, _, text = self.request("POST", f"/v1/ingest/{relation}", body, headers)
        return status, text

    def answers(self) -> list[str]:
        """What is wrong when it no longer answers on both doors."""
        try:
            with self.connect() as session:
                if session.execute("SELECT 1").fetchone() != (1,):
                    return ["the PostgreSQL door gives a wrong answer"]
            status, answer = self.sql("SELECT 1 AS one")
            if status != 200 or answer["rows"] != [[1]]:
                return [f"the HTTP door answers {status}: {answer}"]
        except Exception as error:  # noqa: BLE001 - whatever it is, it does not answer
            return [f"the server no longer answers: {type(error).__name__}: {error}"]
        return []


def refusal(session: psycopg.Connection, statement: str, *args: object) -> str | None:
    """The SQLSTATE that a statement is refused with, or `None`."""
    try:
        session.execute(statement, *args)
    except psycopg.Error as error:
        return error.sqlstate or "gone"
    return None
