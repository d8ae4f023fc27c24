"""dbt-postgres: builds, tests and documents the project in tests/clients/dbt, twice."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import psycopg2

import harness
from harness import Suite, same

# One run of dbt takes seconds.
harness.PATIENCE = 90
suite = Suite("dbt")
check = suite.check
project = pathlib.Path(tempfile.mkdtemp(prefix="thalweg-dbt-"))


def ask(*statements: str) -> list:
    # psycopg2's `with connection` would open a transaction, which holds writes back.
    connection = psycopg2.connect(suite.server.url, connect_timeout=5)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def dbt(*arguments: str) -> str:
    """Runs dbt on a copy of the project, and fails with what it said."""
    command = [str(pathlib.Path(sys.executable).parent / "dbt"), "--no-use-colors", *arguments]
    places = ["--project-dir", str(project), "--profiles-dir", str(project)]
    settings = {"CLIENTS_HOST": suite.server.host, "CLIENTS_PORT": str(suite.server.port), "DO_NOT_TRACK": "1"}
    done = subprocess.run([*command, *places], capture_output=True, text=True, env={**os.environ, **settings}, timeout=80)
    said = done.stdout.rpartition("Completed with")[2]
    assert done.returncode == 0, f"dbt {' '.join(arguments)} ended with {done.returncode}\n{said[-3500:]}{done.stderr[-500:]}"
    return done.stdout


@check
def sample_is_created():
    shutil.copytree(pathlib.Path(__file__).parent / "dbt", project, dirs_exist_ok=True)
    ask("CREATE TABLE purchase (id int PRIMARY KEY, customer text NOT NULL, amount numeric)",
        "INSERT INTO purchase VALUES (1, 'ann', 5), (2, 'ann', 2.5), (3, 'bo', 1)", "FLUSH")


def views_are_right() -> None:
    same(ask("SELECT customer, purchases, total::text::float FROM spent ORDER BY customer"), [("ann", 2, 7.5), ("bo", 1, 1.0)])
    same(ask("SELECT total = 7.5 FROM biggest"), [(True,)])
    same(ask("SELECT matviewname FROM pg_matviews WHERE schemaname = 'public' ORDER BY 1"), [("biggest",), ("spent",)])
    same(ask("SELECT viewname FROM pg_views WHERE schemaname = 'public'"), [("plain",)])


@check
def run():
    dbt("run")
    views_are_right()


@check
def run_again():
    dbt("run")
    views_are_right()


@check
def full_refresh():
    dbt("run", "--full-refresh")
    views_are_right()


@check
def tests_of_the_models():
    said = dbt("test")
    assert "PASS=6" in said, said


@check
def views_follow_the_source():
    ask("INSERT INTO purchase VALUES (4, 'bo', 100)", "FLUSH")
    same(ask("SELECT total = 101 FROM biggest"), [(True,)])


@check
def docs():
    dbt("docs", "generate")
    catalog = json.loads((project / "target" / "catalog.json").read_text())
    columns = {name.split(".")[-1]: list(node["columns"]) for name, node in catalog["nodes"].items()}
    same(columns, {"spent": ["customer", "purchases", "total"], "biggest": ["total"], "plain": ["id", "amount"]})
    same([list(node["columns"]) for node in catalog["sources"].values()], [["id", "customer", "amount"]])
    shutil.rmtree(project, ignore_errors=True)


if __name__ == "__main__":
    suite.main()
