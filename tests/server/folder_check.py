"""A folder to which files are added while the server is killed and goes on: each row is counted once. A file that is written again
is noticed; when it is as it was, the view goes on."""

import json
import os
import pathlib
import random
import shutil
import tempfile
import time

import psycopg
from harness import Server, Tally, eventually, seconds

SEED = int(os.environ.get("FOLDER_SEED", "0"))
KILLS = int(seconds("FOLDER_KILLS", 8))


def lines(rows: range) -> str:
    return "".join(json.dumps({"n": n}) + "\n" for n in rows)


class Folder:
    """Files that are renamed in; each has its own numbers."""

    def __init__(self, path: pathlib.Path, random: random.Random) -> None:
        self.path, self.random, self.files, self.rows = path, random, 0, 0
        path.mkdir()

    def add(self, rows: int) -> None:
        hidden = self.path / ".next"
        hidden.write_text(lines(range(self.rows, self.rows + rows)))
        os.utime(hidden, (time.time() - 60,) * 2)
        hidden.rename(self.path / f"{self.files:04}.ndjson")
        self.rows, self.files = self.rows + rows, self.files + 1

    def expected(self) -> tuple:
        return (self.rows, self.rows, self.rows * (self.rows - 1) // 2)


def found(server: Server, view: str) -> tuple:
    with server.connect() as session:
        return tuple(int(n or 0) for n in session.execute(f"SELECT * FROM {view}").fetchone())


def job(server: Server, name: str) -> tuple[str, str]:
    with server.connect() as session:
        return next((row[2], row[3] or "") for row in session.execute("SHOW JOBS").fetchall() if row[1] == name)


VIEW = "SELECT count(*) AS c, count(DISTINCT n) AS d, sum(n) AS s FROM"


def through_kills(folder: str) -> list[str]:
    chance = random.Random(SEED)
    files = Folder(pathlib.Path(folder) / "in", chance)
    data, problems = f"{folder}/data", []
    files.add(1000)
    for kill in range(KILLS):
        with Server("--data", data) as server:
            if kill == 0:
                with server.connect() as session:
                    options = f"connector = 'file', path = '{files.path}', format = 'ndjson', mode = 'watch'"
                    session.execute(f"CREATE SOURCE f (n BIGINT) WITH ({options})")
                    session.execute(f"CREATE MATERIALIZED VIEW v AS {VIEW} f")
                    session.execute(f"CREATE TABLE t (n BIGINT) WITH ({options})")
                    session.execute(f"CREATE MATERIALIZED VIEW w AS {VIEW} t")
            for _ in range(chance.randrange(1, 6)):
                files.add(chance.randrange(1, 20_000))
                time.sleep(chance.uniform(0, 0.5))
            if chance.random() < 0.5:
                # All of it, before the kill.
                for view in ("v", "w"):
                    if not eventually(lambda: found(server, view) == files.expected(), 30):
                        problems.append(f"kill {kill}, {view}: {found(server, view)}, expected {files.expected()}; {job(server, view)}")
            time.sleep(chance.uniform(0, 1.5))
            problems += server.panics()
        if problems:
            return problems
    # What was read may be taken away while nobody looks.
    with Server("--data", data) as server:
        for view in ("v", "w"):
            if not eventually(lambda: found(server, view) == files.expected(), 30):
                problems.append(f"at the end, {view}: {found(server, view)}, expected {files.expected()}; {job(server, view)}")
        time.sleep(2.5)
        server.stop()
    for file in list(files.path.iterdir())[::2]:
        file.unlink()
    with Server("--data", data) as server:
        files.add(10)
        for view in ("v", "w"):
            if not eventually(lambda: found(server, view) == files.expected(), 30):
                problems.append(f"some taken away, {view}: {found(server, view)}, expected {files.expected()}; {job(server, view)}")
        problems += server.panics()
    return problems


def written_again(folder: str) -> list[str]:
    files = Folder(pathlib.Path(folder) / "in", random.Random(SEED))
    data, problems = f"{folder}/data", []
    files.add(10)
    file, aside = files.path / "0000.ndjson", pathlib.Path(folder) / "aside"
    with Server("--data", data, log="error") as server, server.connect() as session:
        session.execute(f"CREATE SOURCE f (n BIGINT) WITH (connector = 'file', path = '{files.path}/*.ndjson', mode = 'watch')")
        session.execute(f"CREATE MATERIALIZED VIEW v AS {VIEW} f")
        if not eventually(lambda: found(server, "v") == files.expected()):
            return [f"not read: {found(server, 'v')}"]
        time.sleep(2.5)
        shutil.copy2(file, aside)
        file.write_text(lines(range(12)))
        if not eventually(lambda: job(server, "v")[0] == "failed"):
            problems.append(f"after the file has grown the job is {job(server, 'v')}")
        elif "0000.ndjson has grown" not in job(server, "v")[1]:
            problems.append(job(server, "v")[1])
        server.stop()
    with Server("--data", data, log="error") as server:
        state, error = job(server, "v")
        if state != "retrying" or "0000.ndjson has grown" not in error:
            problems.append(f"after a restart the job is {state}: {error}")
        # The mend that the error names.
        os.rename(aside, file)
        files.add(5)
        if not eventually(lambda: found(server, "v") == files.expected()):
            problems.append(f"when it is as it was: {found(server, 'v')}, expected {files.expected()}; {job(server, 'v')}")
        problems += server.panics()
    return problems


def main() -> int:
    tally = Tally()
    print(f"FOLDER_SEED={SEED}", flush=True)
    for name, check in [("files come through kills", through_kills), ("a file is written again", written_again)]:
        with tempfile.TemporaryDirectory(prefix="thalweg-folder-") as folder:
            tally.run(name, check, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
