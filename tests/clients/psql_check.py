"""psql: its backslash commands, \\copy, errors and cursor mode, each against a golden file in tests/clients/psql.

usage: psql_check.py [--write] [WORD …]; --write makes the golden files anew.
"""

import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

from harness import Suite, same

suite = Suite("psql")
GOLDEN = pathlib.Path(__file__).parent / "psql"
write = "--write" in sys.argv
if write:
    sys.argv.remove("--write")

SAMPLE = """
CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL, area numeric, founded date, tags text[]);
CREATE TABLE visit (city int, at timestamp, who varchar);
INSERT INTO city VALUES (1, 'Bern', 51.6, '1191-01-01', ARRAY['a', 'b']), (2, 'Oslo', 454.12, NULL, NULL);
INSERT INTO visit VALUES (1, '2024-01-01 10:00', 'ann'), (1, '2024-01-02 10:00', 'bo'), (2, '2024-01-03 10:00', NULL);
FLUSH;
CREATE INDEX city_name ON city (name);
CREATE VIEW big AS SELECT id, name FROM city WHERE area > 100;
CREATE MATERIALIZED VIEW visits AS SELECT city, count(*) AS n FROM visit GROUP BY city;
CREATE SCHEMA archive;
CREATE TABLE archive.old (id int PRIMARY KEY);
CREATE USER guest WITH PASSWORD 'x';
COMMENT ON TABLE city IS 'where people live';
"""

# Name of the golden file: what is typed.
SCRIPTS = {
    "list_relations": r"\d",
    "list_tables": r"\dt",
    "list_tables_with_pattern": r"\dt c*" + "\n" + r"\dt archive.*",
    "list_materialized_views": r"\dm",
    "list_views": r"\dv",
    "list_indexes": r"\di",
    "list_schemas": r"\dn",
    "describe_table": r"\d city" + "\n" + r"\d visit",
    "describe_index": r"\d city_name",
    "describe_view": r"\d big",
    "describe_view_more": r"\d+ big",
    "describe_materialized_view": r"\d visits",
    "describe_in_a_schema": r"\d archive.old",
    "describe_nothing": r"\d nowhere",
    "view_definition": r"\sv big",
    "expanded": "\\x\nSELECT * FROM city ORDER BY id;",
    "unaligned": "\\pset format unaligned\nSELECT id, name FROM city ORDER BY id;",
    "nulls_and_types": "\\pset null '∅'\nSELECT * FROM city ORDER BY id;",
    "several_statements": r"SELECT 1 AS a\; SELECT 'x' AS b;",
    "fetch_count": "\\set FETCH_COUNT 3\nSELECT n FROM generate_series(1, 8) AS g(n) ORDER BY n;",
    "gexec": "SELECT 'SELECT ' || id || ' AS made' FROM city ORDER BY id \\gexec",
    "gset": "SELECT max(id) AS top FROM city \\gset\n\\echo :top",
    "gdesc": "SELECT id, name, area, founded, tags FROM city \\gdesc",
    "variables": "\\set who ann\nSELECT city FROM visit WHERE who = :'who';",
    "syntax_error": "SELECT 1 +\nFROM city;",
    "unknown_column": "SELECT id,\n       nope\nFROM city;",
    "unknown_table": "SELECT * FROM nowhere;",
    "error_in_a_transaction": "BEGIN;\nSELECT 1/0;\nSELECT 1;\nROLLBACK;",
    "error_verbose": "\\set VERBOSITY verbose\nSELECT * FROM nowhere;",
    "command_tags": "CREATE TABLE tags (a int PRIMARY KEY);\nINSERT INTO tags VALUES (1), (2);\nFLUSH;\n"
    "UPDATE tags SET a = 3 WHERE a = 2;\nDELETE FROM tags;\nBEGIN;\nCOMMIT;\nSET application_name = 'x';\n"
    "CREATE VIEW tags_view AS SELECT 1 AS one;\nDROP VIEW tags_view;\nDROP TABLE tags;\nDROP TABLE IF EXISTS tags;",
    "connection": "SELECT current_database(), current_user;\n\\echo :DBNAME :USER :ENCODING",
    "copy_out_text": r"\copy (SELECT id, name, tags FROM city ORDER BY id) TO STDOUT",
    "copy_out_csv": r"\copy (SELECT * FROM city ORDER BY id) TO STDOUT CSV HEADER",
}


def psql(script: str, *flags: str) -> str:
    """What psql prints for a script typed on its standard input."""
    command = ["psql", "-X", "--no-password", *flags, suite.server.url]
    done = subprocess.run(command, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=12,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PAGER": "cat", "HOME": "/nonexistent"})
    # The server's own source places are no part of what is promised.
    said = re.sub(r"^LOCATION: .*\n", "", done.stdout, flags=re.M)
    # Newer versions of psql say "List of tables".
    return re.sub(r"^( +)List of (tables|views|indexes|materialized views)$", r"\1List of relations", said, flags=re.M)


def sample() -> None:
    said = psql(SAMPLE, "-q")
    # Advice about what a view keeps is welcome; errors are not.
    same([line for line in said.splitlines() if line.startswith("ERROR")], [])


def golden(name: str, script: str):
    def body() -> None:
        found = psql(script)
        file = GOLDEN / f"{name}.txt"
        if write:
            file.write_text(found)
        wanted = file.read_text() if file.exists() else ""
        if found != wanted:
            lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), str(file.name), "found", lineterm="")
            raise AssertionError(f"psql -X URL <<< {script!r}\n" + "\n".join(lines))

    body.__name__ = name
    return body


suite.check(sample)
for name, script in SCRIPTS.items():
    suite.check(golden(name, script))


@suite.check
def described_more():
    """\\d+ shows the comment and the storage; its width depends on psql's version, so only words are asked for."""
    found = psql(r"\d+ city") + psql(r"\dt+ city")
    for word in ("Table \"public.city\"", "city_pkey", "city_name", "where people live", "character varying[]", "not null"):
        assert word in found, f"{word!r} is not in\n{found}"


@suite.check
def users_and_databases():
    """Only words are asked for: the columns differ between versions of psql."""
    found = psql(r"\du")
    assert re.search(r"guest .*", found) and re.search(r"root .*Superuser, Create role, Create DB", found), found
    assert re.search(r"dev +\| root +\| UTF8", psql(r"\l")), psql(r"\l")


@suite.check
def copy_there_and_back():
    with tempfile.TemporaryDirectory() as folder:
        for number, options in enumerate(("", "CSV", "CSV HEADER", "(FORMAT csv, DELIMITER ';', NULL 'nil')", "(FORMAT binary)")):
            file = pathlib.Path(folder) / str(number)
            found = psql(f"\\copy city TO '{file}' {options}\nCREATE TABLE back{number} (id int PRIMARY KEY, name text NOT NULL, "
                         f"area numeric, founded date, tags text[]);\n\\copy back{number} FROM '{file}' {options}\nFLUSH;\n"
                         f"SELECT count(*) FROM (SELECT * FROM city EXCEPT SELECT * FROM back{number}) x;\n"
                         f"SELECT count(*) FROM back{number};\nDROP TABLE back{number};", "-q")
            numbers = re.findall(r"^ +(\d+)$", found, flags=re.M)
            assert numbers == ["0", "2"], f"{options}\n{found}"


@suite.check
def exit_code_of_a_failed_script():
    done = subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", suite.server.url], input="SELECT 1/0; SELECT 2;",
                          capture_output=True, text=True, timeout=12)
    same(done.returncode, 3)


if __name__ == "__main__":
    suite.main()
