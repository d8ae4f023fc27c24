"""Sinks into a real Redis from a server that is killed, while Redis crashes as well: hashes and strings are the table, a stream has
each of its changes once."""

import os
import pathlib
import random
import subprocess
import tempfile
import time

from harness import Server, Tally, eventually, seconds
from services import Service

SEED = int(os.environ.get("REDIS_SEED", "0"))
KILLS = int(seconds("REDIS_KILLS", 5))


class Redis(Service):
    """A Redis, asked with its own client."""

    def __init__(self) -> None:
        super().__init__("redis")
        self.url = f"redis://127.0.0.1:{self.words['port']}"

    def ask(self, *words: str) -> list[str]:
        command = ["redis-cli", "-p", self.words["port"], "--no-auth-warning", "-a", self.words["password"], "--raw", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.splitlines()

    def rows(self, prefix: str) -> dict[int, str]:
        """What the hashes under `prefix` hold, by `k`."""
        hashes = [self.ask("HGETALL", key) for key in self.ask("KEYS", f"{prefix}*")]
        fields = [dict(zip(pairs[::2], pairs[1::2])) for pairs in hashes]
        # One that was deleted meanwhile is empty.
        return {int(row["k"]): row["v"] for row in fields if row}

    def texts(self, prefix: str) -> dict[int, str]:
        """The strings under `prefix`, by the number that follows."""
        return {int(key.removeprefix(prefix)): "".join(self.ask("GET", key)) for key in self.ask("KEYS", f"{prefix}*")}

    def replayed(self, stream: str) -> tuple[dict[int, str], list[str]]:
        """What the changes in `stream` come down to, and what is wrong with them."""
        lines, rows, problems = self.ask("XRANGE", stream, "-", "+"), {}, []
        while lines:
            # A number, then `op`, `k` and `v`, each with its value.
            (number, _, op, _, k, _, v), lines = lines[:7], lines[7:]
            known = int(k) in rows
            if known == (op == "insert") or (op == "delete" and rows.get(int(k)) != v):
                problems.append(f"{number}: {op} of {k}, which was {rows.get(int(k))}")
            if op == "delete":
                rows.pop(int(k), None)
            else:
                rows[int(k)] = v
        return rows, problems


def through_kills(folder: str) -> list[str]:
    chance, redis, rows, problems = random.Random(SEED), Redis(), {}, []
    for kill in range(KILLS + 1):
        with Server("--data", folder) as server, server.connect() as session:
            if kill == 0:
                session.execute(f"CREATE SECRET word AS '{redis.words['password']}'")
                session.execute("CREATE TABLE t (k INT PRIMARY KEY, v TEXT)")
                common = f"connector = 'redis', redis.url = '{redis.url}', password = SECRET word"
                session.execute(f"CREATE SINK h FROM t WITH ({common}, key_prefix = 'h:')")
                session.execute(f"CREATE SINK s FROM t WITH ({common}, data_type = 'string', key_format = 's/{{k}}')")
                session.execute(f"CREATE SINK x FROM t WITH ({common}, data_type = 'stream', stream = 'x')")
            for _ in range(40):
                k = chance.randrange(30)
                if chance.random() < 0.3:
                    session.execute("DELETE FROM t WHERE k = %s", (k,))
                    rows.pop(k, None)
                else:
                    rows[k] = f"{kill} ünï {chance.randrange(1000)}"
                    session.execute("INSERT INTO t VALUES (%s, %s)", (k, rows[k]))
                if chance.random() < 0.05:
                    redis.script("crash")
                time.sleep(chance.uniform(0, 0.05))
            if kill < KILLS:
                time.sleep(chance.uniform(0, 1.5))
                continue
            texts = {key: f'{{"k":{key},"v":"{text}"}}' for key, text in rows.items()}
            if not eventually(lambda: redis.rows("h:") == rows and redis.replayed("x")[0] == rows):
                problems.append(f"hashes {redis.rows('h:')}, stream {redis.replayed('x')[0]}, expected {rows}")
            if not eventually(lambda: redis.texts("s/") == texts):
                problems.append(f"strings are not {texts}")
            problems += redis.replayed("x")[1]
        problems += server.panics()
    if redis.words["password"] in "".join(p.read_bytes().decode(errors="replace") for p in pathlib.Path(folder).rglob("*") if p.is_file()):
        problems.append("the password is on the disk")
    redis.remove()
    return problems


def main() -> int:
    tally = Tally()
    print(f"REDIS_SEED={SEED}", flush=True)
    with tempfile.TemporaryDirectory(prefix="thalweg-redis-") as folder:
        tally.run("Redis through kills", through_kills, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
