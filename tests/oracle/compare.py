"""Compares a result that Thalweg wrote with what DuckDB computes: columns, row count, checksum, and numbers closely.

Exact columns are compared by an order-independent checksum; a column that is floating point on either side (an
average) is compared row by row after sorting, to a relative error of 1e-9.
"""

import pathlib

import duckdb
import numpy

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory whose day begins at midnight UTC."""
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute("SET threads = 2")
    return db


def files(out: pathlib.Path) -> str:
    """`out` as DuckDB reads it: a Parquet file, or every one in a folder."""
    return f"read_parquet('{out}/**/*.parquet')" if out.is_dir() else f"read_parquet('{out}')"


def kind(type_name: str) -> str:
    """What two columns must have in common to be compared."""
    if type_name in INTEGERS or type_name.startswith("DECIMAL"):
        return "number"
    if type_name in ("FLOAT", "DOUBLE"):
        return "float"
    if type_name.startswith("TIMESTAMP"):
        return "time"
    # A day may be a date or its text.
    return "text" if type_name in ("VARCHAR", "DATE") else type_name


CASTS = {
    "number": "CAST({} AS DECIMAL(38, 6))",
    "float": "CAST({} AS DOUBLE)",
    "time": "CAST({} AS TIMESTAMP)",
    "text": "CAST({} AS VARCHAR)",
}


def columns(db: duckdb.DuckDBPyConnection, relation: str, ignored: set[str]) -> dict[str, str]:
    """Name and type of each column of `relation` that is compared."""
    described = db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {name: type_name for name, type_name, *_ in described if name not in ignored}


def compare(db: duckdb.DuckDBPyConnection, got: str, want: str, ignored: set[str] = frozenset()) -> list[str]:
    """What is wrong with relation `got`, measured by relation `want`; nothing when they agree."""
    got_columns, want_columns = columns(db, got, ignored), columns(db, want, ignored)
    if list(got_columns) != list(want_columns):
        return [f"columns are {', '.join(got_columns)}", f"  expected {', '.join(want_columns)}"]
    exact, close = [], []
    for name, want_type in want_columns.items():
        kinds = {kind(got_columns[name]), kind(want_type)}
        quoted = f'"{name}"'
        if len(kinds) == 1 and kinds != {"float"}:
            exact.append(CASTS.get(kinds.pop(), "{}").format(quoted) + f" AS {quoted}")
        elif kinds <= {"number", "float"}:
            close.append(CASTS["float"].format(quoted) + f" AS {quoted}")
        else:
            return [f"column {name} is {got_columns[name]}, expected {want_type}"]
    problems = []
    counts = [db.execute(f"SELECT count(*) FROM {relation}").fetchone()[0] for relation in (got, want)]
    if counts[0] != counts[1]:
        problems.append(f"{counts[0]} rows, expected {counts[1]}")
    listed = ", ".join(exact) or "1"
    sides = [f"SELECT {listed} FROM {relation}" for relation in (got, want)]
    names = ", ".join(f't."{name}"' for name in want_columns if any(e.endswith(f'AS "{name}"') for e in exact)) or "1"
    sums = [db.execute(f"SELECT sum(hash({names})::HUGEINT) FROM ({side}) AS t").fetchone()[0] for side in sides]
    if sums[0] != sums[1]:
        problems.append(f"checksum {sums[0]}, expected {sums[1]}")
    if problems:
        problems += examples(db, "unexpected", *sides) + examples(db, "missing", *reversed(sides))
        return problems
    for column in close:
        order = ", ".join([*(str(i + 1) for i in range(len(exact))), str(len(exact) + 1)])
        picked = ", ".join([*exact, column])
        values = []
        for relation in (got, want):
            rows = db.execute(f"SELECT {picked} FROM {relation} ORDER BY {order}").fetchnumpy()
            last = numpy.ma.asarray(list(rows.values())[-1], dtype=float)
            values.append(last.filled(numpy.nan))
        different = ~numpy.isclose(values[0], values[1], rtol=1e-9, atol=1e-9, equal_nan=True)
        if different.any():
            first = int(different.argmax())
            name = column.rsplit(" AS ", 1)[1]
            pair = f"{values[0][first]!r}, expected {values[1][first]!r}"
            problems.append(f"column {name} differs in {int(different.sum())} rows: {pair}")
    return problems


def examples(db: duckdb.DuckDBPyConnection, word: str, some: str, others: str) -> list[str]:
    """A few rows of `some` that `others` has not."""
    rows = db.execute(f"SELECT * FROM ({some} EXCEPT ALL {others}) LIMIT 3").fetchall()
    shown = ["(" + ", ".join(str(value)[:24] for value in row) + ")" for row in rows]
    return [f"  {word}: {row}" for row in shown]
