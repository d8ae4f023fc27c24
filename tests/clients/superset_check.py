"""SQLAlchemy 1.4 over psycopg2, which Superset stands on: what it inspects when a dataset is added, and what charts
send."""

import datetime

import psycopg2
import sqlalchemy as sa

from harness import Suite, same

suite = Suite("superset")
check = suite.check


def engine():
    return sa.create_engine(suite.server.url.replace("postgres://", "postgresql+psycopg2://"))


def ask(sql: str) -> list:
    with engine().connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql.replace("%", "%%"))]


@check
def sample_is_created():
    assert sa.__version__.startswith("1.4."), sa.__version__
    connection = psycopg2.connect(suite.server.url)
    connection.autocommit = True
    connection.cursor().execute("""
        CREATE TABLE sales (id int PRIMARY KEY, region varchar NOT NULL, at timestamp NOT NULL, amount double
        precision);
        INSERT INTO sales VALUES (1, 'north', '2024-01-01 12:00:10', 10), (2, 'north', '2024-01-01 12:07:10', 30),
          (3, 'west', '2024-01-02 13:00:00', 5);
        CREATE MATERIALIZED VIEW by_region AS SELECT region, count(*) AS n, sum(amount) AS amount FROM sales GROUP BY
        region;
        CREATE VIEW north AS SELECT * FROM sales WHERE region = 'north';
        FLUSH""")


@check
def names():
    found = sa.inspect(engine())
    assert "public" in found.get_schema_names()
    same(found.get_table_names(schema="public"), ["sales"])
    same(sorted(found.get_view_names(schema="public")), ["by_region", "north"])
    same(found.get_view_names(schema="public", include=("materialized",)), ["by_region"])


@check
def columns():
    found = sa.inspect(engine())
    same(
        [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns("sales", schema="public")],
        [
            ("id", "INTEGER", False),
            ("region", "VARCHAR", False),
            ("at", "TIMESTAMP", False),
            ("amount", "DOUBLE_PRECISION", True),
        ],
    )
    same([c["name"] for c in found.get_columns("by_region", schema="public")], ["region", "n", "amount"])
    same([c["name"] for c in found.get_columns("north", schema="public")], ["id", "region", "at", "amount"])


@check
def keys_comments_and_definitions():
    found = sa.inspect(engine())
    same(found.get_pk_constraint("sales", schema="public")["constrained_columns"], ["id"])
    same(found.get_pk_constraint("by_region", schema="public")["constrained_columns"], [])
    for name in ("sales", "by_region"):
        same(found.get_foreign_keys(name, schema="public"), [])
        same(found.get_unique_constraints(name, schema="public"), [])
        same(found.get_table_comment(name, schema="public"), {"text": None})
    assert "sales" in found.get_view_definition("by_region", schema="public")


@check
def indexes():
    same(sa.inspect(engine()).get_indexes("sales", schema="public"), [])


@check
def reflects_a_dataset():
    table = sa.Table("by_region", sa.MetaData(), schema="public", autoload_with=engine())
    same([c.name for c in table.columns], ["region", "n", "amount"])


@check
def chart_with_a_limit_of_series():
    found = ask("""SELECT DATE_TRUNC('minute', at) AS __timestamp, region AS region, sum(amount) AS "SUM(amount)"
    FROM public.sales
        JOIN (SELECT region AS region__, sum(amount) AS mme_inner__ FROM public.sales
              WHERE at >= TO_TIMESTAMP('2024-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')
              GROUP BY region ORDER BY mme_inner__ DESC LIMIT 1) AS series_limit ON region = region__
        WHERE at >= TO_TIMESTAMP('2024-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')
          AND at < TO_TIMESTAMP('2024-01-03 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')
        GROUP BY DATE_TRUNC('minute', at), region ORDER BY "SUM(amount)" DESC LIMIT 10000""")
    same(
        found,
        [(datetime.datetime(2024, 1, 1, 12, 7), "north", 30.0), (datetime.datetime(2024, 1, 1, 12), "north", 10.0)],
    )


@check
def time_grains():
    for grain, wanted in (
        ("second", 3),
        ("minute", 3),
        ("hour", 2),
        ("day", 2),
        ("week", 1),
        ("month", 1),
        ("quarter", 1),
        ("year", 1),
    ):
        same(
            len(
                ask(
                    f"SELECT DATE_TRUNC('{grain}', at) AS t, count(*) FROM public.sales GROUP BY "
                    f"DATE_TRUNC('{grain}', at)"
                )
            ),
            wanted,
        )
    same(
        len(
            ask(
                "SELECT DATE_TRUNC('minute', DATE_TRUNC('hour', at) + INTERVAL '5 minutes' * FLOOR(EXTRACT(minute "
                "FROM at) / 5)) AS t "
                "FROM public.sales GROUP BY 1"
            )
        ),
        3,
    )


@check
def sql_lab():
    same(len(ask("SELECT * FROM public.sales LIMIT 101")), 3)
    assert ask("EXPLAIN SELECT * FROM public.sales")
    same(
        ask('SELECT count(DISTINCT region) AS "COUNT_DISTINCT(region)" FROM (SELECT * FROM sales) AS virtual_table'),
        [(2,)],
    )
    same(ask("SELECT datname FROM pg_database WHERE datistemplate = false"), [("dev",)])
    with engine().connect() as connection:
        connection.exec_driver_sql('SET search_path = "public"')
        same(connection.exec_driver_sql("SELECT count(*) FROM sales").scalar(), 3)


@check
def server_side_cursor():
    connection = psycopg2.connect(suite.server.url)
    cursor = connection.cursor("superset")
    cursor.itersize = 2
    cursor.execute("SELECT id FROM sales")
    same(sorted(cursor), [(1,), (2,), (3,)])
    connection.commit()


@check
def stops_a_query():
    """What its button Stop sends, on a connection of its own."""
    same(ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = '123456'"), [])


if __name__ == "__main__":
    suite.main()
