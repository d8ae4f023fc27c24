"""Servers of others that checks and benchmarks need beside ours, each started by its script in `scripts/`. They end with this
process."""

import os
import re
import shutil
import subprocess
import tempfile

import psycopg
from harness import ROOT


class Service:
    """What `scripts/NAME start` starts, in a folder of its own; `words` is what it says of itself."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, tempfile.mkdtemp(prefix=f"thalweg-{name}-")
        # Some run as another user.
        os.chmod(self.folder, 0o755)
        self.words: dict[str, str] = {}
        self.start()

    def script(self, command: str, *more: str) -> str:
        """Runs a command of the script on it; what it prints."""
        arguments = [ROOT / "scripts" / self.name, command, f"{self.folder}/server", *more]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"scripts/{self.name} {command}: {done.stderr[-2000:]}")
        return done.stdout

    def start(self) -> None:
        """Starts it, also after it was stopped."""
        self.words = dict(re.findall(r"(\w+)=(\S+)", self.script("start", "--with", str(os.getpid()))))

    def remove(self) -> None:
        """Stops it and removes its files."""
        self.script("stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class Broker(Service):
    """A Kafka broker."""

    def __init__(self) -> None:
        super().__init__("kafka")
        self.address = self.words["bootstrap"]

    def tool(self, name: str, *arguments: str) -> str:
        """Runs one of Kafka's own tools."""
        return self.script("run", f"org.apache.kafka.tools.{name}", *arguments)

    def topic(self, name: str, partitions: int) -> None:
        """Makes a topic."""
        self.tool("TopicCommand", "--bootstrap-server", self.address, "--create", "--topic", name, "--partitions", str(partitions))


class Postgres(Service):
    """A PostgreSQL server."""

    def __init__(self) -> None:
        super().__init__("postgres")
        self.login = {name: self.words[name] for name in ("host", "port", "user", "password")}
        self.options = ", ".join(f"{name} = '{value}'" for name, value in self.login.items())

    def run(self, sql: str) -> list[tuple]:
        """The rows of a statement in the database `postgres`."""
        with psycopg.connect(**self.login, dbname="postgres", autocommit=True) as session:
            cursor = session.execute(sql)
            return cursor.fetchall() if cursor.description else []
