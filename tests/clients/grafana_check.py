"""The board of `deploy/grafana` on the PostgreSQL data source, as Grafana asks: each panel and variable, in the
simple and
in the extended protocol, and what the data source sends when it is saved, browsed and built with."""

import datetime
import re
import time

import psycopg

import boards
from harness import Suite, fails, same

suite = Suite("grafana")
check = suite.check
SHOP = boards.board("shop")

# Types that the plugin makes numbers of, and those that it takes for a time; anything else names a series.
NUMBERS = {20, 21, 23, 700, 701, 1700}
TIMES = {1082, 1114, 1184}
TEXTS = {25, 1043, 1042}


def connected() -> psycopg.Connection:
    return psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5)


def ask(sql: str, extended: bool = False) -> tuple[list[str], list[tuple]]:
    return typed(sql, extended)[1:]


def typed(sql: str, extended: bool) -> tuple[list[int], list[str], list[tuple]]:
    """Types, names and rows; the simple protocol gives text, the extended one a prepared statement's binary."""
    with connected() as connection:
        found = connection.execute(sql, prepare=True, binary=True) if extended else connection.execute(sql)
        rows = found.fetchall()
        return [c.type_code for c in found.description], [c.name for c in found.description], rows


def wait_for(sql: str, enough) -> None:
    until = time.monotonic() + 10
    while not enough(ask(sql)[1]):
        assert time.monotonic() < until, f"never enough rows: {sql}"
        time.sleep(0.1)


@check
def example_is_created():
    text = (boards.FOLDER / "example.sql").read_text()
    with connected() as connection:
        connection.execute(text)
    # Two points even of the series with the widest step.
    wait_for("SELECT count(DISTINCT at_second / 10) FROM revenue_by_second", lambda rows: rows[0][0] >= 2)
    # Every region and product, so that no query of the board is empty.
    wait_for("SELECT count(DISTINCT region), count(DISTINCT product) FROM revenue", lambda rows: rows[0] == (5, 3))
    wait_for("SELECT count(*) FROM last_minute", lambda rows: rows[0][0] == 5)


@check
def variables_have_values():
    found = boards.variables(SHOP, ask)
    same(found, boards.variables(SHOP, lambda sql: ask(sql, extended=True)))
    same(found["currency"], ["EUR", "GBP", "USD"])
    same(found["region"], ["east", "north", "over sea's", "south", "west"])
    same(found["product"], ["apple", "banana", "cherry"])


@check
def variables_depend_on_each_other():
    region = next(v for v in SHOP["templating"]["list"] if v["name"] == "region")
    names, rows = ask(boards.fill_in(region["query"], {"currency": ["GBP"]}))
    same((names, rows), (["name"], [("over sea's",)]))


def as_time(value) -> float:
    """Seconds since 1970 of what Grafana takes for a time."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc).timestamp()
    return float(value)


def fits(panel: dict, target: dict, span: boards.Range, oids: list[int], names: list[str], rows: list[tuple]) -> None:
    assert rows, "no rows"
    same(len(set(names)), len(names), "names of columns")
    unknown = [n for n, oid in zip(names, oids) if oid not in NUMBERS | TIMES | TEXTS]
    assert not unknown, f"types that no panel draws: {unknown}"
    if target["format"] == "time_series":
        at = names.index("time")
        assert oids[at] in NUMBERS | TIMES, oids[at]
        times = [as_time(row[at]) for row in rows]
        # Long rows are made wide only when their times never go back.
        same(times, sorted(times), "order of times")
        assert len(set(times)) >= 2, times
        slack = 60
        assert span.start.timestamp() - slack <= times[0] and times[-1] <= span.end.timestamp() + slack, times
        values = [oid for n, oid in zip(names, oids) if n not in ("time", "metric")]
        assert values and all(oid in NUMBERS for oid in values), (names, oids)
        if "metric" in names:
            assert oids[names.index("metric")] in TEXTS
            assert len(rows) == len({(row[at], row[names.index("metric")]) for row in rows}), (
                "a series twice at one time"
            )
        else:
            same(len(times), len(set(times)), "a time twice")
    elif panel["type"] == "stat":
        same(len(rows), 1)
        assert oids[-1] in NUMBERS and rows[0][-1] is not None and rows[0][-1] >= 0, rows
    elif panel["type"] == "bargauge":
        assert any(oid in NUMBERS for oid in oids) and any(oid in TEXTS for oid in oids), oids


def panel_check(panel: dict, extended: bool):
    def run() -> None:
        span = boards.Range.last(15)
        values = boards.variables(SHOP, ask)
        for target in panel["targets"]:
            sql = span.expand(boards.fill_in(target["rawSql"], values))
            left = re.findall(r"\$[_{\w]+", sql)
            same(left, [], "not expanded")
            try:
                fits(panel, target, span, *typed(sql, extended))
            except Exception as error:
                raise AssertionError(f"{sql}\n{type(error).__name__}: {error}") from error

    word = re.sub(r"\W+", "_", panel["title"].lower()).strip("_")
    run.__name__ = f"panel_{word}_{'extended' if extended else 'simple'}"
    return check(run)


for each in boards.panels(SHOP):
    panel_check(each, False)
    panel_check(each, True)


@check
def panels_have_what_a_reader_needs():
    assert len(boards.panels(SHOP)) >= 8
    for panel in boards.panels(SHOP):
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
        same(panel["datasource"]["uid"], "thalweg-sql")
    used = {m for p in boards.panels(SHOP) for t in p["targets"] for m in re.findall(r"\$__(\w+)", t["rawSql"])}
    same(
        {"timeFilter", "timeGroupAlias", "timeGroup", "unixEpochFilter", "timeFrom", "timeTo", "interval"} - used, set()
    )


@check
def every_macro_with_each_kind_of_time():
    with connected() as connection:
        connection.execute(
            "CREATE TABLE moments (id int PRIMARY KEY, a timestamp, b timestamptz, c date, s bigint, n bigint)"
        )
        connection.execute(
            "INSERT INTO moments VALUES (1, '2024-01-01 00:00:10', '2024-01-01 00:00:10+00', '2024-01-01', "
            "1704067210, 1704067210000000000), (2, '2030-01-01', '2030-01-01', '2030-01-01', 1893456000, "
            "1893456000000000000)"
        )
        connection.execute("FLUSH")
    day = datetime.timedelta(days=1)
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    span = boards.Range(start, start + day, "1m")
    for sql in (
        "SELECT $__time(a), id FROM moments WHERE $__timeFilter(a)",
        "SELECT $__time(b), id FROM moments WHERE $__timeFilter(b)",
        "SELECT $__time(c), id FROM moments WHERE $__timeFilter(c)",
        "SELECT $__timeEpoch(a), id FROM moments WHERE a >= $__timeFrom() AND a < $__timeTo()",
        "SELECT $__timeEpoch(b), id FROM moments WHERE b >= $__timeFrom() AND b < $__timeTo()",
        "SELECT $__timeGroup(a,$__interval), count(*) FROM moments WHERE $__timeFilter(a) GROUP BY 1 ORDER BY 1",
        "SELECT $__timeGroupAlias(b,'5m',NULL), count(*) FROM moments WHERE $__timeFilter(b) GROUP BY time ORDER BY "
        "time",
        "SELECT $__timeGroupAlias(a,1h,previous), id FROM moments WHERE $__timeFilter(a)",
        "SELECT $__timeGroupAlias(c,1d), id FROM moments WHERE $__timeFilter(c)",
        "SELECT $__timeGroupAlias(a,500ms), id FROM moments WHERE $__timeFilter(a)",
        "SELECT s AS time, id FROM moments WHERE $__unixEpochFilter(s)",
        "SELECT s AS time, id FROM moments WHERE s BETWEEN $__unixEpochFrom() AND $__unixEpochTo()",
        "SELECT n AS time, id FROM moments WHERE $__unixEpochNanoFilter(n)",
        "SELECT n AS time, id FROM moments WHERE n BETWEEN $__unixEpochNanoFrom() AND $__unixEpochNanoTo()",
        "SELECT $__unixEpochGroupAlias(s,'30s'), count(*) FROM moments WHERE $__unixEpochFilter(s) GROUP BY 1",
    ):
        expanded = span.expand(sql)
        for extended in (False, True):
            try:
                names, rows = ask(expanded, extended)
                same((names[0], len(rows), rows[0][1]), ("time", 1, 1))
            except Exception as error:
                raise AssertionError(f"{expanded}\n{type(error).__name__}: {error}") from error


@check
def a_range_in_milliseconds():
    names, rows = ask(
        "SELECT '2024-01-01T00:00:00.123Z'::timestamptz < '2024-01-01T00:00:00.124Z', "
        "'2024-01-01T00:00:00.123Z'::timestamp"
    )
    same(rows, [(True, datetime.datetime(2024, 1, 1, 0, 0, 0, 123000))])


@check
def connection_test():
    # pgx sends a comment, older drivers an empty statement.
    with connected() as connection:
        for text in ("-- ping", ";", ""):
            result = connection.pgconn.exec_(text.encode())
            assert result.status == psycopg.pq.ExecStatus.EMPTY_QUERY, (text, result.status)


@check
def several_statements_in_one_query():
    with connected() as connection:
        results = connection.execute("SET TIME ZONE 'UTC'; SELECT 1 AS a; SELECT 2 AS a")
        seen = []
        while True:
            if results.description:
                seen += results.fetchall()
            if not results.nextset():
                break
        same(seen, [(1,), (2,)])


@check
def version_is_detected():
    names, rows = ask("SELECT current_setting('server_version_num')::int/100 as version")
    assert names == ["version"] and rows[0][0] >= 1200, rows


@check
def schemas_are_listed():
    names, rows = ask("""SELECT schema_name AS "name" FROM information_schema.schemata
        WHERE schema_name NOT IN ('information_schema', 'pg_catalog', 'pg_toast', '_timescaledb_cache') ORDER BY
        schema_name""")
    assert ("public",) in rows, rows


@check
def tables_of_a_schema():
    names, rows = ask("""SELECT quote_ident(table_name) AS "table" FROM information_schema.tables
        WHERE quote_ident(table_schema) = 'public' ORDER BY 1""")
    assert {("revenue",), ("latest_orders",), ("regions",)} <= set(rows), rows


@check
def schema_browser_with_parameters():
    """What newer versions ask in the extended protocol."""
    with connected() as connection:
        schemas = connection.execute(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT LIKE 'pg_%%' "
            "AND schema_name != 'information_schema' ORDER BY schema_name",
            prepare=True,
        ).fetchall()
        assert ("public",) in schemas, schemas
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type IN ('BASE "
            "TABLE', 'VIEW') "
            "ORDER BY table_name",
            ["public"],
            prepare=True,
            binary=True,
        ).fetchall()
        assert {("regions",), ("revenue_by_second",)} <= set(tables), tables
        columns = connection.execute(
            "SELECT column_name, data_type, udt_name, numeric_precision, numeric_scale FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            ["public", "latest_orders"],
            prepare=True,
            binary=True,
        ).fetchall()
        same(
            [c[:3] for c in columns],
            [
                ("id", "bigint", "int8"),
                ("ordered_at", "timestamp without time zone", "timestamp"),
                ("region", "character varying", "varchar"),
                ("product", "character varying", "varchar"),
                ("quantity", "integer", "int4"),
                ("price", "double precision", "float8"),
            ],
        )


@check
def schema_browser_lists_materialized_views():
    with connected() as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type IN ('BASE "
            "TABLE', 'VIEW') "
            "ORDER BY table_name",
            ["public"],
            prepare=True,
            binary=True,
        ).fetchall()
    assert {("revenue",), ("latest_orders",)} <= set(tables), tables


@check
def values_of_columns():
    one = (
        'SELECT \'{0}\' AS col_name, "{0}"::text AS val FROM (SELECT DISTINCT "{0}" FROM "public"."revenue" '
        'WHERE "{0}" IS NOT NULL ORDER BY "{0}" LIMIT 100) sub_{1}'
    )
    sql = " UNION ALL ".join(one.format(column, i) for i, column in enumerate(("region", "product")))
    names, rows = ask(sql, extended=True)
    same({value for column, value in rows if column == "product"}, {"apple", "banana", "cherry"})


@check
def query_that_the_builder_writes():
    """The visual editor's own spelling: blanks at the ends of clauses, quoted names, a limit."""
    span = boards.Range.last(15)
    sql = (
        'SELECT $__timeGroupAlias(at,$__interval), SUM(revenue) AS "revenue", region AS "metric" FROM revenue '
        "WHERE $__timeFilter(at) GROUP BY 1, region ORDER BY 1 ASC LIMIT 50 "
    )
    names, rows = ask(span.expand(sql))
    same(names, ["time", "revenue", "metric"])
    assert rows
    names, rows = ask(
        "SELECT COUNT(id), AVG(price), MAX(price), MIN(price), STDDEV(price), VARIANCE(price), region "
        "FROM latest_orders WHERE (quantity > 0 AND region NOT LIKE '%zzz%' AND product IN ('apple', 'banana')) "
        "GROUP BY region LIMIT 50 "
    )
    assert rows


@check
def mistakes_are_told():
    with fails(psycopg.errors.UndefinedColumn, "nothing"):
        ask("SELECT nothing FROM revenue")
    with fails(psycopg.errors.UndefinedTable, "nowhere"):
        ask("SELECT 1 FROM nowhere")


@check
def a_refresh_shows_what_came_since():
    first = ask("SELECT sum(orders) FROM revenue")[1][0][0]
    wait_for("SELECT sum(orders) FROM revenue", lambda rows: rows[0][0] > first)


@check
def a_source_without_end_is_refused():
    """It has no rows of its own; a panel is told to read a view."""
    with fails(psycopg.errors.Error, "source without end"):
        ask("SELECT count(*) FROM orders")


if __name__ == "__main__":
    suite.main()
