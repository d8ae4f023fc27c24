"""psqlODBC through pyodbc: the catalog functions and statements that tools on ODBC use, with and without cursors."""

import datetime
import pathlib

import pyodbc

from harness import Suite, same

suite = Suite("odbc")
check = suite.check
DRIVER = next(iter(pathlib.Path("/usr/lib").glob("*/odbc/psqlodbcw.so")), None)


def connected(options: str = "") -> pyodbc.Connection:
    server = suite.server
    return pyodbc.connect(
        f"Driver={DRIVER};Server={server.host};Port={server.port};Database=dev;Uid=root;{options}",
        timeout=5,
        autocommit=True,
    )


# In pieces of two rows through a cursor; all at once, written into the statement; all at once, prepared by the server.
WAYS = (
    "UseDeclareFetch=1;Fetch=2",
    "UseDeclareFetch=0;UseServerSidePrepare=0",
    "UseDeclareFetch=0;UseServerSidePrepare=1",
)


def each_way(sql: str, *parameters) -> list:
    found = []
    for way in WAYS:
        connection = connected(way)
        try:
            found.append([tuple(row) for row in connection.cursor().execute(sql, *parameters)])
        finally:
            connection.close()
    same(found[1:], found[:1] * 2, "the ways differ")
    return found[0]


def catalog(function, *arguments, **named) -> list:
    connection = connected()
    try:
        return [tuple(row) for row in getattr(connection.cursor(), function)(*arguments, **named)]
    finally:
        connection.close()


@check
def sample_is_created():
    connection = connected()
    for statement in (
        "CREATE TABLE sales (id int PRIMARY KEY, region varchar NOT NULL, at timestamp, amount double precision, "
        "price numeric(10, 2))",
        "INSERT INTO sales VALUES (1, 'north', '2024-01-01 12:00:10', 10, 1.25), (2, 'north', NULL, 30, NULL), (3, "
        "'west', NULL, 5, 2)",
        "CREATE MATERIALIZED VIEW by_region AS SELECT region, count(*) AS n FROM sales GROUP BY region",
        "FLUSH",
    ):
        connection.cursor().execute(statement)
    connection.close()


@check
def tables():
    kinds = {row[2]: row[3] for row in catalog("tables", schema="public")}
    same(kinds, {"sales": "TABLE", "by_region": "MATVIEW"})


@check
def columns():
    same(
        [(row[3], row[5]) for row in catalog("columns", table="sales", schema="public")],
        [("id", "int4"), ("region", "varchar"), ("at", "timestamp"), ("amount", "float8"), ("price", "numeric")],
    )
    same([row[3] for row in catalog("columns", table="by_region", schema="public")], ["region", "n"])


@check
def statistics():
    same([(row[5], row[8]) for row in catalog("statistics", "sales")], [("sales_pkey", "id")])


@check
def primary_keys():
    same([row[3] for row in catalog("primaryKeys", "sales")], ["id"])


@check
def foreign_keys_and_types():
    same(catalog("foreignKeys", "sales"), [])
    assert len(catalog("getTypeInfo")) > 20


@check
def rows_in_every_way():
    same(
        each_way("SELECT * FROM sales ORDER BY id")[0][:4], (1, "north", datetime.datetime(2024, 1, 1, 12, 0, 10), 10.0)
    )
    same(len(each_way("SELECT id FROM sales")), 3)


@check
def parameters():
    same(
        each_way(
            "SELECT region, sum(amount) FROM sales WHERE region = ? AND id > ? AND (at > ? OR at IS NULL) GROUP BY 1",
            "north",
            0,
            datetime.datetime(2024, 1, 1),
        ),
        [("north", 40.0)],
    )


@check
def a_null_for_a_parameter():
    same(each_way("SELECT count(*) FROM sales WHERE region = ?", None), [(0,)])


@check
def one_statement_again():
    """The driver ends what it prepared by DEALLOCATE, and prepares again under the same name."""
    connection = connected(WAYS[2])
    try:
        for region, wanted in (("north", 2), ("west", 1), ("south", 0), (None, 0)):
            same(connection.cursor().execute("SELECT count(*) FROM sales WHERE region = ?", region).fetchval(), wanted)
    finally:
        connection.close()


if __name__ == "__main__":
    suite.main()
