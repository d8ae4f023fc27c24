"""What Tableau, Metabase and DBeaver send while they connect, browse and draw, as their logs and sources show it, in
the
simple and in the extended protocol. The tools themselves are not run."""

import datetime
import decimal

import psycopg

from harness import Suite, fails, same

suite = Suite("bi")
check = suite.check
DAY = datetime.date(2024, 1, 1)
NOON = datetime.datetime(2024, 1, 1, 12, 0, 10)

SAMPLE = """
CREATE TABLE sales (id int PRIMARY KEY, region varchar NOT NULL, at timestamp NOT NULL, amount double precision,
pieces int);
INSERT INTO sales VALUES (1, 'north', '2024-01-01 12:00:10', 10, 1), (2, 'north', '2024-01-01 12:01:10', 30, 2),
  (3, 'over sea''s', '2024-01-02 13:00:00', 5, 3), (4, 'west', '2024-02-01 00:00:00', NULL, 4);
CREATE MATERIALIZED VIEW by_region AS SELECT region, count(*) AS n, sum(amount) AS amount FROM sales GROUP BY region;
CREATE VIEW north AS SELECT * FROM sales WHERE region = 'north';
CREATE SOURCE pushed (id int, note varchar);
FLUSH;
"""


def connected() -> psycopg.Connection:
    return psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5)


def ask(sql: str, binary: bool = True) -> list[tuple]:
    """The rows, which are the same in both protocols whatever their order."""
    with connected() as connection:
        simple = connection.execute(sql).fetchall()
        extended = connection.execute(sql, prepare=True, binary=binary).fetchall()
    same(sorted(map(repr, simple)), sorted(map(repr, extended)), "the two protocols differ")
    return simple


def all_run(*statements: str) -> None:
    """Each on one connection, as a tool has it."""
    with connected() as connection:
        for statement in statements:
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                raise AssertionError(f"{statement}\n{type(error).__name__}: {error}") from error


@check
def sample_is_created():
    with connected() as connection:
        connection.execute(SAMPLE)
    same(len(ask("SELECT * FROM sales")), 4)


@check
def tableau_connects():
    all_run(
        "SET DateStyle = 'ISO'",
        "SET extra_float_digits = 3",
        "SET client_min_messages TO 'warning'",
        "SET TimeZone = 'Etc/UTC'",
        "SET application_name = 'Tableau 2024.2'",
        "SET statement_timeout = 60000",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW TRANSACTION ISOLATION LEVEL",
        "SHOW standard_conforming_strings",
        "SELECT version()",
        "select oid, typbasetype from pg_type where typname = 'lo'",
        "select current_schema()",
        "SELECT current_database(), current_user",
    )


@check
def tableau_lists_relations_through_a_cursor():
    with connected() as connection:
        results = connection.execute(
            """BEGIN;declare "SQL_CUR1" cursor for select relname, nspname, relkind from pg_catalog.pg_class c,
            pg_catalog.pg_namespace n where relkind in ('r', 'v', 'm', 'f') and nspname not in ('pg_catalog',
            'information_schema', 'pg_toast', 'pg_temp_1') and n.oid = relnamespace order by nspname, relname;
            fetch 2048 in "SQL_CUR1";close "SQL_CUR1";COMMIT"""
        )
        found = []
        while True:
            found += results.fetchall() if results.description else []
            if not results.nextset():
                break
    kinds = {name: kind for name, schema, kind in found if schema == "public"}
    same(
        {name: kinds.get(name) for name in ("sales", "north", "by_region", "pushed")},
        {"sales": "r", "north": "v", "by_region": "m", "pushed": "f"},
    )


@check
def tableau_fetches_in_pieces_and_holds():
    with connected() as connection:
        connection.execute("BEGIN")
        connection.execute(
            'declare "SQL_CUR2" cursor with hold for SELECT "sales"."id" AS "id" FROM "public"."sales" "sales" '
            "ORDER BY 1"
        )
        same(connection.execute('fetch 3 in "SQL_CUR2"').fetchall(), [(1,), (2,), (3,)])
        connection.execute("COMMIT")
        same(connection.execute('fetch 3 in "SQL_CUR2"').fetchall(), [(4,)])
        same(connection.execute('fetch 3 in "SQL_CUR2"').fetchall(), [])
        connection.execute('close "SQL_CUR2"')


@check
def tableau_rolls_back_to_a_savepoint():
    with connected() as connection:
        connection.execute("BEGIN")
        connection.execute("SAVEPOINT _EXEC_SVP_1")
        with fails(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        connection.execute("ROLLBACK TO _EXEC_SVP_1")
        connection.execute("RELEASE _EXEC_SVP_1")
        same(connection.execute("SELECT count(*) FROM sales").fetchall(), [(4,)])
        connection.execute("COMMIT")


@check
def tableau_makes_a_temporary_table():
    """Its probe, and where extracts of joins and large filters go."""
    all_run(
        'CREATE LOCAL TEMPORARY TABLE "#Tableau_1_Connect_Check" ("COL" INTEGER) ON COMMIT PRESERVE ROWS',
        'DROP TABLE "#Tableau_1_Connect_Check"',
    )


@check
def tableau_reads_the_shape_of_a_relation():
    for sql in ('SELECT * FROM "public"."by_region" WHERE 1=0', 'SELECT * FROM "public"."by_region" LIMIT 0'):
        with connected() as connection:
            found = connection.execute(sql, prepare=True)
            same([c.name for c in found.description], ["region", "n", "amount"])
            assert found.description[0].type_code in (25, 1043), found.description
            same([c.type_code for c in found.description[1:]], [20, 701])
    same(ask('SELECT "SUBCOL" AS "COL" FROM (SELECT 1 AS "SUBCOL") "SUBQUERY" GROUP BY 1'), [(1,)])


@check
def tableau_draws():
    same(
        ask(
            'SELECT SUM(1) AS "n", COUNT(DISTINCT "sales"."region") AS "ctd" FROM "public"."sales" "sales" HAVING '
            '(COUNT(1) > 0)'
        ),
        [(4, 3)],
    )
    same(
        ask(
            'SELECT DATE_TRUNC( \'MINUTE\', CAST("sales"."at" AS TIMESTAMP) ) AS "tmn", SUM("sales"."amount") AS "s" '
            'FROM "public"."sales" "sales" WHERE (("sales"."at" >= (TIMESTAMP \'2024-01-01 00:00:00.000\')) AND '
            '("sales"."at" < (TIMESTAMP \'2024-01-02 00:00:00.000\'))) GROUP BY 1 ORDER BY 1'
        ),
        [(NOON.replace(second=0), 10), (NOON.replace(minute=1, second=0), 30)],
    )
    same(
        ask(
            'SELECT "t0"."region" FROM "public"."sales" "t0" INNER JOIN (SELECT "region", SUM("amount") AS '
            '"$__alias__0" FROM '
            '"public"."sales" GROUP BY 1 ORDER BY 2 DESC NULLS LAST LIMIT 1) "t1" ON ("t0"."region" = "t1"."region") '
            'GROUP BY 1'
        ),
        [("north",)],
    )
    same(
        ask("""SELECT ("region" || '!') AS x, ROUND(CAST("amount" AS NUMERIC), 1) AS r, CASE WHEN ("amount" >= 10)
        THEN 'big'
             ELSE 'small' END AS c, CAST(TRUNC(EXTRACT(YEAR FROM "at")) AS INTEGER) AS y, (DATE '1970-01-01' + 1) AS d,
             CAST("at" AS DATE), LEFT("region", 2), (CAST(EXTRACT(DOW FROM "at") AS INTEGER) + 1), ("at" + 1 *
             INTERVAL '1 DAY'),
             TO_CHAR("at", 'YYYY-MM') FROM "public"."sales" WHERE id = 1"""),
        [
            (
                "north!",
                decimal.Decimal("10.0"),
                "big",
                2024,
                datetime.date(1970, 1, 2),
                DAY,
                "no",
                2,
                NOON + datetime.timedelta(days=1),
                "2024-01",
            )
        ],
    )
    same(
        ask('SELECT RANK() OVER (ORDER BY SUM("pieces") DESC) AS r, region FROM sales GROUP BY region ORDER BY 1, 2'),
        [(1, "west"), (2, "north"), (2, "over sea's")],
    )
    same(ask('SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY "amount") FROM "public"."sales"'), [(10.0,)])


@check
def metabase_connects():
    all_run(
        "SET SESSION TIMEZONE TO 'UTC'",
        "SHOW TIMEZONE",
        "select current_setting('TIMEZONE')",
        "SELECT 1",
        'SELECT TRUE AS "_" FROM "public"."by_region" WHERE 1 <> 1 LIMIT 0',
    )


@check
def metabase_fingerprints():
    same(
        sorted(
            ask(
                'SELECT SUBSTRING("public"."sales"."region", 1, 1234) AS "substring1", "public"."sales"."pieces" AS '
                '"pieces" '
                'FROM "public"."sales" LIMIT 10000'
            )
        ),
        [("north", 1), ("north", 2), ("over sea's", 3), ("west", 4)],
    )
    same(
        ask(
            'SELECT "public"."sales"."region" AS "region" FROM "public"."sales" GROUP BY "public"."sales"."region" '
            'ORDER BY "public"."sales"."region" ASC LIMIT 1001'
        ),
        [("north",), ("over sea's",), ("west",)],
    )


@check
def metabase_groups_by_time():
    at = '"public"."sales"."at"'
    for unit, wanted in (("minute", 4), ("hour", 3), ("week", 2), ("month", 2), ("quarter", 1), ("year", 1)):
        cut = f"DATE_TRUNC('{unit}', {at})"
        same(
            len(
                ask(
                    f'SELECT {cut} AS "at", SUM("public"."sales"."amount") AS "sum" FROM "public"."sales" GROUP BY '
                    f'{cut} '
                    f"ORDER BY {cut} ASC"
                )
            ),
            wanted,
            unit,
        )
    same(
        len(
            ask(
                f'SELECT CAST({at} AS DATE) AS "at", COUNT(*) AS "count" FROM "public"."sales" GROUP BY CAST({at} AS '
                f'DATE)'
            )
        ),
        3,
    )
    same(
        ask(
            f"SELECT (DATE_TRUNC('week', ({at} + INTERVAL '1 day')) + INTERVAL '-1 day') AS w FROM "
            f"\"public\".\"sales\" "
            "WHERE id = 1"
        ),
        [(datetime.datetime(2023, 12, 31),)],
    )
    same(
        ask(
            f'SELECT COUNT(*) AS "count" FROM "public"."sales" WHERE ({at} >= DATE_TRUNC(\'day\', (NOW() + INTERVAL '
            f'\'-7 day\')))'
        ),
        [(0,)],
    )
    same(
        ask(f"SELECT ({at} AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') FROM \"public\".\"sales\" WHERE id = 1"),
        [(NOON + datetime.timedelta(hours=1),)],
    )


@check
def metabase_bins_and_nests():
    bin_of = 'FLOOR((("public"."sales"."amount" - 0.0) / 10.0)) * 10.0 + 0.0'
    same(
        ask(
            f'SELECT {bin_of} AS "b", COUNT(*) AS "count" FROM "public"."sales" WHERE "public"."sales"."amount" IS '
            f'NOT NULL '
            f"GROUP BY {bin_of} ORDER BY {bin_of} ASC"
        ),
        [(0, 1), (10, 1), (30, 1)],
    )
    same(
        ask(
            'SELECT "source"."region" AS "region" FROM (SELECT "public"."sales"."region" AS "region", COUNT(*) AS '
            '"count" FROM '
            '"public"."sales" GROUP BY "public"."sales"."region") AS "source" WHERE "source"."count" > 1 LIMIT 2000'
        ),
        [("north",)],
    )
    same(
        ask(
            "SELECT STDDEV_POP(pieces), VAR_POP(pieces), PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY pieces) FROM sales"
        )[0][2],
        2.5,
    )


@check
def metabase_computes_a_share():
    """A whole number and a decimal are the branches of its CASE."""
    same(
        ask(
            "-- Metabase:: userID: 1 queryType: MBQL queryHash: ab\nSELECT SUM(CASE WHEN region = 'north' THEN 1 "
            "ELSE 0.0 END) "
            "/ COUNT(*) AS share FROM sales"
        )[0][0],
        decimal.Decimal("0.5"),
    )


@check
def case_of_a_whole_number_and_a_decimal():
    same(ask("SELECT CASE WHEN id > 1 THEN 1 ELSE 0.5 END FROM sales WHERE id = 1"), [(decimal.Decimal("0.5"),)])


@check
def dbeaver_browses():
    for sql in (
        "SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datallowconn AND NOT datistemplate OR db.datname "
        "='dev' ORDER BY 1",
        "SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON "
        "d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname",
        "SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, "
        "d.description FROM "
        "pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid LEFT OUTER JOIN "
        "pg_catalog.pg_description d ON t.oid=d.objoid WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR "
        "c.relkind = 'c')",
        "SELECT r.oid,r.*,c.description FROM pg_catalog.pg_roles r LEFT OUTER JOIN pg_catalog.pg_shdescription c ON "
        "r.oid = c.objoid",
        "SELECT current_schema(),session_user",
        "select * from pg_catalog.pg_settings where name='standard_conforming_strings'",
        "select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs}'::text[])",
        "SELECT pg_catalog.pg_get_viewdef('public.by_region'::regclass::oid, true)",
    ):
        # As text: psycopg does not know the binary form of every type in there.
        assert ask(sql, binary=False), sql
    # Empty, but understood.
    for sql in ("SELECT * FROM pg_catalog.pg_enum", "SELECT * FROM pg_catalog.pg_stat_activity WHERE false"):
        same(ask(sql), [])


@check
def dbeaver_reads_relations():
    found = ask(
        "SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, "
        "pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN "
        "pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass "
        "WHERE c.relnamespace='public'::regnamespace AND c.relkind not in ('i','I','c')",
        binary=False,
    )
    same(len(found), 4)
    found = ask(
        "SELECT c.relname,a.attname,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as "
        "def_value,dsc.description,dep.objid "
        "FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) LEFT OUTER JOIN "
        "pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN "
        "pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) LEFT OUTER JOIN pg_depend "
        "dep on "
        "dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = "
        "dep.refclassid "
        "WHERE NOT a.attisdropped AND c.relname = 'sales' AND a.attnum > 0 ORDER BY a.attnum"
    )
    same([row[1] for row in found], ["id", "region", "at", "amount", "pieces"])
    found = ask(
        "SELECT i.indexrelid,i.indkey as keys,c.relname,tc.relname as tabrelname,pg_catalog.pg_get_expr(i.indpred, "
        "i.indrelid) "
        "as pred_expr FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid=i.indexrelid INNER JOIN "
        "pg_catalog.pg_class tc ON tc.oid=i.indrelid WHERE tc.relname = 'sales'",
        binary=False,
    )
    same([row[2] for row in found], ["sales_pkey"])


@check
def a_boolean_beside_a_text_literal():
    """As psqlODBC (`indisprimary = 't'`) and SQLAlchemy 1.4 (`indisprimary = 'f'`) write it."""
    same(ask("SELECT count(*) FROM pg_index WHERE indisprimary = 't'"), [(1,)])


@check
def deallocate_of_what_the_protocol_prepared():
    """As psqlODBC ends a statement that it has prepared by a message."""
    with connected() as connection:
        same(connection.pgconn.prepare(b"_PLAN1", b"SELECT 1").status, psycopg.pq.ExecStatus.COMMAND_OK)
        connection.execute('DEALLOCATE "_PLAN1"')
        same(connection.pgconn.prepare(b"_PLAN1", b"SELECT 2").status, psycopg.pq.ExecStatus.COMMAND_OK)


if __name__ == "__main__":
    suite.main()
