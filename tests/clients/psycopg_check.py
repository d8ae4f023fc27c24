"""psycopg 3: types, parameters, prepared statements, COPY, cursors, pipelines, errors and transactions."""

import datetime as dt
import decimal
import itertools
import json
import math
import threading
import uuid

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from harness import Suite, fails, same

suite = Suite("psycopg")
check = suite.check
D = decimal.Decimal


def connect(**options):
    return psycopg.connect(suite.server.url, **{"autocommit": True, "connect_timeout": 5, **options})


def run(connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement)


# Type, literal, value in Python.
VALUES = [
    ("boolean", "true", True),
    ("boolean", "false", False),
    ("smallint", "(-32768)", -32768),
    ("integer", "2147483647", 2147483647),
    ("bigint", "(-9223372036854775808)", -(2**63)),
    ("real", "1.5", 1.5),
    ("real", "'-Infinity'", -math.inf),
    ("double precision", "0.1", 0.1),
    ("double precision", "'NaN'", math.nan),
    ("double precision", "'Infinity'", math.inf),
    ("numeric", "123456789012345678.123456789", D("123456789012345678.123456789")),
    ("numeric", "-0.0001", D("-0.0001")),
    ("numeric", "0", D("0")),
    ("numeric", "10000.00", D("10000.00")),
    ("text", "'grüße, 世界 🌍'", "grüße, 世界 🌍"),
    ("text", "''", ""),
    ("varchar", "E'tab\\tnewline\\nbackslash\\\\'", "tab\tnewline\nbackslash\\"),
    ("bytea", r"'\x00ff10'", b"\x00\xff\x10"),
    ("bytea", r"'\x'", b""),
    ("date", "'2024-02-29'", dt.date(2024, 2, 29)),
    ("date", "'0001-01-01'", dt.date(1, 1, 1)),
    ("time", "'23:59:59.999999'", dt.time(23, 59, 59, 999999)),
    ("timestamp", "'2024-02-29 12:34:56.789012'", dt.datetime(2024, 2, 29, 12, 34, 56, 789012)),
    ("timestamp", "'1969-12-31 23:59:59.5'", dt.datetime(1969, 12, 31, 23, 59, 59, 500000)),
    ("timestamptz", "'2024-02-29 12:00:00+02'", dt.datetime(2024, 2, 29, 10, tzinfo=dt.timezone.utc)),
    ("interval", "'3 days 04:05:06.7'", dt.timedelta(days=3, hours=4, minutes=5, seconds=6, microseconds=700000)),
    ("interval", "'-1 day'", dt.timedelta(days=-1)),
    ("jsonb", """'{"a": [1, 2.5, null, "x"], "b": {"c": true}}'""", {"a": [1, 2.5, None, "x"], "b": {"c": True}}),
    ("integer[]", "ARRAY[1, NULL, 3]", [1, None, 3]),
    ("bigint[]", "ARRAY[1, 9223372036854775807]", [1, 2**63 - 1]),
    ("text[]", """ARRAY['a', 'with "quotes"', 'comma,', '', 'NULL', NULL]""",
     ["a", 'with "quotes"', "comma,", "", "NULL", None]),
    ("double precision[]", "ARRAY[1.5, -2.5]", [1.5, -2.5]),
    ("boolean[]", "ARRAY[true, false]", [True, False]),
    ("timestamp[]", "ARRAY['2024-01-01 00:00:01'::timestamp]", [dt.datetime(2024, 1, 1, 0, 0, 1)]),
    ("integer[]", "'{}'", []),
]


def equal(found, wanted) -> bool:
    if isinstance(wanted, dict) and isinstance(found, str):
        # The server may describe jsonb as text.
        found = json.loads(found)
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(found, float) and math.isnan(found)
    return type(found) is type(wanted) and found == wanted


def each_value(ask) -> None:
    """Asks for every value, and reports all that come back different."""
    with connect() as connection:
        wrong = []
        for kind, literal, wanted in VALUES:
            try:
                found = ask(connection, kind, literal, wanted)
            except psycopg.Error as error:
                wrong.append(f"{literal}::{kind}: {type(error).__name__}: {error}")
                connection = connect()
                continue
            if not equal(found, wanted):
                wrong.append(f"{literal}::{kind}: found {found!r}, wanted {wanted!r}")
        assert not wrong, "\n".join(wrong)


def result_check(binary: bool):
    def ask(connection, kind, literal, _):
        with connection.cursor(binary=binary) as cursor:
            return cursor.execute(f"SELECT {literal}::{kind}").fetchone()[0]

    return ask


def parameter_check(mark: str, binary: bool):
    def ask(connection, kind, _, value):
        value = Jsonb(value) if kind == "jsonb" else value
        with connection.cursor(binary=binary) as cursor:
            return cursor.execute(f"SELECT {mark}::{kind}", [value]).fetchone()[0]

    return ask


@check
def results_as_text():
    each_value(result_check(False))


@check
def results_in_binary():
    each_value(result_check(True))


@check
def parameters_as_text():
    each_value(parameter_check("%t", False))


@check
def parameters_in_binary():
    each_value(parameter_check("%b", True))


@check
def parameters_as_the_driver_chooses():
    each_value(parameter_check("%s", True))


@check
def values_through_a_table():
    names = itertools.count()

    def ask(connection, kind, literal, value):
        value = Jsonb(value) if kind == "jsonb" else value
        table = f"through{next(names)}"
        run(connection, f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
        connection.execute(f"INSERT INTO {table} VALUES (%s, %s)", [1, value])
        connection.execute("FLUSH")
        return connection.execute(f"SELECT v FROM {table} WHERE id = %s", [1]).fetchone()[0]

    each_value(ask)


@check
def nulls_of_every_type():
    with connect() as connection:
        for kind in sorted({kind for kind, _, _ in VALUES}):
            for binary in (False, True):
                with connection.cursor(binary=binary) as cursor:
                    same(cursor.execute(f"SELECT NULL::{kind}").fetchone(), (None,), kind)
                    same(cursor.execute(f"SELECT %s::{kind}", [None]).fetchone(), (None,), kind)


@check
def type_names_of_results():
    """The OIDs of the row description are those that PostgreSQL gives to the types."""
    with connect() as connection:
        wrong = []
        for kind in sorted({kind for kind, _, _ in VALUES} - {"varchar", "jsonb"}):
            column = connection.execute(f"SELECT NULL::{kind} AS v").description[0]
            wanted = psycopg.adapters.types.get(kind)
            oid = wanted.array_oid if kind.endswith("[]") else wanted.oid
            # A text column may be described as varchar.
            if column.type_code != oid and not (wanted.name == "text" and column.type_code in (1043, 1015)):
                wrong.append(f"{kind}: OID {column.type_code} instead of {oid}")
        assert not wrong, "\n".join(wrong)


@check
def uuid_as_text():
    value = uuid.UUID("12345678-1234-5678-1234-567812345678")
    with connect() as connection:
        same(connection.execute("SELECT %s::text", [str(value)]).fetchone()[0], str(value))


@check
def numeric_nan():
    with connect() as connection:
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                assert cursor.execute("SELECT 'NaN'::numeric").fetchone()[0].is_nan()


@check
def session_time_zone():
    with connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        same(connection.info.parameter_status("TimeZone"), "Asia/Tokyo")
        found = connection.execute("SELECT '2024-01-01 00:00:00+00'::timestamptz").fetchone()[0]
        same((found.isoformat(), found.tzinfo.key), ("2024-01-01T09:00:00+09:00", "Asia/Tokyo"))
        same(connection.execute("SELECT '2024-01-01 00:00:00+00'::timestamptz::text").fetchone()[0],
             "2024-01-01 09:00:00+09")


@check
def start_up_parameters():
    with connect(application_name="suite", options="-c statement_timeout=12345 -c search_path=public") as connection:
        same(connection.execute("SHOW application_name").fetchone()[0], "suite")
        same(connection.execute("SHOW statement_timeout").fetchone()[0], "12345ms")
        same(connection.info.parameter_status("application_name"), "suite")
        same(connection.info.parameter_status("client_encoding"), "UTF8")
        same(connection.info.parameter_status("integer_datetimes"), "on")
        same(connection.info.parameter_status("standard_conforming_strings"), "on")
        assert connection.info.server_version >= 140000, connection.info.server_version


@check
def parameter_types_are_inferred():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS inferred", "CREATE TABLE inferred (id int PRIMARY KEY, n bigint, t text)")
        connection.execute("INSERT INTO inferred VALUES (%s, %s, %s)", [1, 2, "x"])
        connection.execute("FLUSH")
        same(connection.execute("SELECT t FROM inferred WHERE n = %s AND t = %s", [2, "x"]).fetchall(), [("x",)])
        same(connection.execute("SELECT %s + 1", [41]).fetchone(), (42,))
        same(connection.execute("SELECT id FROM inferred WHERE id = ANY(%s)", [[1, 5]]).fetchall(), [(1,)])
        same(connection.execute("SELECT t FROM inferred WHERE t LIKE %s LIMIT %s", ["x%", 1]).fetchall(), [("x",)])


@check
def placeholders_of_unknown_type():
    """Parameters whose type only the server can tell: plain strings where numbers and dates are wanted."""
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS guessed", "CREATE TABLE guessed (id int PRIMARY KEY, d date, n numeric)")
        connection.execute("INSERT INTO guessed VALUES (%s, %s, %s)", ["7", "2024-01-02", "1.50"])
        connection.execute("FLUSH")
        same(connection.execute("SELECT * FROM guessed WHERE id = %s AND d >= %s", ["7", "2024-01-01"]).fetchall(),
             [(7, dt.date(2024, 1, 2), D("1.50"))])


@check
def executemany():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS many", "CREATE TABLE many (id int PRIMARY KEY, v text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO many VALUES (%s, %s)", [(i, f"v{i}") for i in range(300)])
            same(cursor.rowcount, 300)
        connection.execute("FLUSH")
        same(connection.execute("SELECT count(*), min(v), max(id) FROM many").fetchone(), (300, "v0", 299))


@check
def executemany_returning():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS handed", "CREATE TABLE handed (id int PRIMARY KEY, v text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO handed VALUES (%s, %s) RETURNING id", [(1, "a"), (2, "b")], returning=True)
            found = [cursor.fetchone()[0]]
            while cursor.nextset():
                found.append(cursor.fetchone()[0])
        same(found, [1, 2])


@check
def prepared_statement_many_times():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS prepared", "CREATE TABLE prepared (id int PRIMARY KEY, v text)")
        for i in range(15):
            connection.execute("INSERT INTO prepared VALUES (%s, %s)", [i, str(i)], prepare=True)
        connection.execute("FLUSH")
        for i in range(15):
            for binary in (False, True):
                found = connection.execute("SELECT v, id FROM prepared WHERE id = %s", [i], prepare=True, binary=binary)
                same(found.fetchall(), [(str(i), i)])
        names = connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall()
        assert any("FROM prepared" in statement for _, statement in names), names


@check
def prepared_automatically_after_five():
    with connect() as connection:
        for i in range(12):
            same(connection.execute("SELECT %s::int * 2", [i]).fetchone(), (2 * i,))
        same(connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone(), (1,))
        connection.execute("DEALLOCATE ALL")
        same(connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone(), (0,))


@check
def prepared_statement_sees_new_rows():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS wider", "CREATE TABLE wider (id int PRIMARY KEY)", "INSERT INTO wider VALUES (1)",
            "FLUSH")
        same(connection.execute("SELECT count(*) FROM wider", prepare=True).fetchone(), (1,))
        run(connection, "INSERT INTO wider VALUES (2)", "FLUSH")
        same(connection.execute("SELECT count(*) FROM wider", prepare=True).fetchone(), (2,))


@check
def sql_prepare_and_execute():
    with connect() as connection:
        connection.execute("PREPARE plus (int, int) AS SELECT $1 + $2")
        same(connection.execute("EXECUTE plus (2, 3)").fetchone(), (5,))
        connection.execute("DEALLOCATE plus")
        with fails(errors.InvalidSqlStatementName):
            connection.execute("EXECUTE plus (2, 3)")


def copied(connection) -> list:
    return connection.execute("SELECT * FROM copied ORDER BY id").fetchall()


ROWS = [
    (1, "plain", D("1.5"), dt.datetime(2024, 1, 1, 1, 2, 3)),
    (2, 'tab\there, "quote", back\\slash\nline', None, None),
    (3, "", D("-0.25"), dt.datetime(1999, 12, 31)),
    (4, None, D("0"), None),
]


def fresh_copied(connection) -> None:
    run(connection, "DROP TABLE IF EXISTS copied",
        "CREATE TABLE copied (id int PRIMARY KEY, v text, n numeric, t timestamp)")


@check
def copy_in_as_text():
    with connect() as connection:
        fresh_copied(connection)
        with connection.cursor() as cursor:
            with cursor.copy("COPY copied FROM STDIN") as copy:
                for row in ROWS:
                    copy.write_row(row)
            same((cursor.rowcount, cursor.statusmessage), (4, "COPY 4"))
        connection.execute("FLUSH")
        same(copied(connection), ROWS)


@check
def copy_in_binary():
    with connect() as connection:
        fresh_copied(connection)
        with connection.cursor() as cursor, cursor.copy("COPY copied (id, v, n, t) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "numeric", "timestamp"])
            for row in ROWS:
                copy.write_row(row)
        connection.execute("FLUSH")
        same(copied(connection), ROWS)


@check
def copy_in_csv():
    with connect() as connection:
        fresh_copied(connection)
        with connection.cursor() as cursor:
            with cursor.copy("COPY copied (id, v) FROM STDIN (FORMAT csv, HEADER true)") as copy:
                copy.write('id,v\n1,"a ""b"", c"\n2,\n3,""\n')
        connection.execute("FLUSH")
        same(connection.execute("SELECT id, v FROM copied ORDER BY id").fetchall(), [(1, 'a "b", c'), (2, None), (3, "")])


def filled(connection) -> None:
    fresh_copied(connection)
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO copied VALUES (%s, %s, %s, %s)", ROWS)
    connection.execute("FLUSH")


@check
def copy_out_as_text():
    with connect() as connection:
        filled(connection)
        with connection.cursor() as cursor, cursor.copy("COPY copied TO STDOUT") as copy:
            copy.set_types(["int4", "text", "numeric", "timestamp"])
            same(sorted(copy.rows()), ROWS)


@check
def copy_out_binary():
    with connect() as connection:
        filled(connection)
        with connection.cursor() as cursor:
            with cursor.copy("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
                copy.set_types(["int4", "text", "numeric", "timestamp"])
                same(list(copy.rows()), ROWS)


@check
def copy_out_csv():
    with connect() as connection:
        filled(connection)
        with connection.cursor() as cursor:
            with cursor.copy("COPY (SELECT id, v FROM copied ORDER BY id) TO STDOUT (FORMAT csv, HEADER)") as copy:
                found = b"".join(copy).decode()
        same(found, 'id,v\n1,plain\n2,"tab\there, ""quote"", back\\slash\nline"\n3,""\n4,\n')


@check
def copy_of_a_materialized_view():
    with connect() as connection:
        filled(connection)
        run(connection, "DROP MATERIALIZED VIEW IF EXISTS copied_count",
            "CREATE MATERIALIZED VIEW copied_count AS SELECT count(*) AS n FROM copied")
        with connection.cursor() as cursor, cursor.copy("COPY copied_count TO STDOUT") as copy:
            same(list(copy.rows()), [("4",)])
        connection.execute("DROP MATERIALIZED VIEW copied_count")


@check
def copy_with_a_bad_row_changes_nothing():
    with connect() as connection:
        fresh_copied(connection)
        with fails(errors.InvalidTextRepresentation, "invalid input syntax"):
            with connection.cursor() as cursor, cursor.copy("COPY copied (id, v) FROM STDIN") as copy:
                copy.write("1\tok\nx\tbad\n")
        connection.execute("FLUSH")
        same(copied(connection), [])


@check
def copy_given_up_by_the_client_changes_nothing():
    with connect() as connection:
        fresh_copied(connection)
        with fails(ZeroDivisionError):
            with connection.cursor() as cursor, cursor.copy("COPY copied (id, v) FROM STDIN") as copy:
                copy.write("1\tok\n")
                raise ZeroDivisionError
        connection.execute("FLUSH")
        same(copied(connection), [])


@check
def server_cursor():
    with connect(autocommit=False) as connection:
        with connection.cursor(name="walk") as cursor:
            cursor.execute("SELECT * FROM generate_series(1, 1000) AS g(n) ORDER BY n")
            same(cursor.fetchone(), (1,))
            same(cursor.fetchmany(3), [(2,), (3,), (4,)])
            same(len(cursor.fetchall()), 996)
            same(cursor.fetchone(), None)


@check
def server_cursor_in_binary_with_parameters():
    with connect(autocommit=False) as connection:
        with connection.cursor(name="bits", binary=True) as cursor:
            cursor.itersize = 10
            cursor.execute("SELECT n FROM generate_series(1, %s) AS g(n) ORDER BY n", [55])
            same(sum(row[0] for row in cursor), 55 * 56 // 2)


@check
def server_cursor_with_hold():
    with connect(autocommit=False) as connection:
        with connection.cursor(name="held", withhold=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 5) AS g(n) ORDER BY n")
            same(cursor.fetchmany(2), [(1,), (2,)])
            connection.commit()
            same(cursor.fetchall(), [(3,), (4,), (5,)])


@check
def server_cursor_scrolls():
    with connect(autocommit=False) as connection:
        with connection.cursor(name="scrolls", scrollable=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 5) AS g(n) ORDER BY n")
            same(cursor.fetchmany(3), [(1,), (2,), (3,)])
            cursor.scroll(-2)
            same(cursor.fetchone(), (2,))
            cursor.scroll(0, mode="absolute")
            same(cursor.fetchone(), (1,))


@check
def client_cursor_streams():
    with connect() as connection:
        same(sum(row[0] for row in connection.cursor().stream("SELECT * FROM generate_series(1, 2000)")), 2001000)


@check
def pipeline():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS piped", "CREATE TABLE piped (id int PRIMARY KEY)")
        with connection.pipeline() as pipe:
            for i in range(50):
                connection.execute("INSERT INTO piped VALUES (%s)", [i])
            first = connection.execute("SELECT 1")
            pipe.sync()
            second = connection.execute("SELECT 2")
            same((first.fetchone(), second.fetchone()), ((1,), (2,)))
        connection.execute("FLUSH")
        same(connection.execute("SELECT count(*) FROM piped").fetchone(), (50,))


@check
def pipeline_skips_to_sync_after_an_error():
    with connect() as connection:
        with fails(errors.DivisionByZero):
            with connection.pipeline():
                connection.execute("SELECT 1 / 0")
                connection.execute("SELECT 2")
        same(connection.execute("SELECT 3").fetchone(), (3,))


@check
def several_statements_at_once():
    with connect() as connection:
        cursor = connection.execute("SELECT 1; SELECT 'two'; SELECT 3.0")
        found = [cursor.fetchone()[0]]
        while cursor.nextset():
            found.append(cursor.fetchone()[0])
        same(found, [1, "two", D("3.0")])


@check
def empty_query():
    with connect() as connection:
        same(connection.execute("").statusmessage, None)
        same(connection.execute("-- nothing").statusmessage, None)
        same(connection.execute("SELECT 1").fetchone(), (1,))


# Statement, class of psycopg.errors, word of the message.
ERRORS = [
    ("SELECT * FROM no_such_table", errors.UndefinedTable, "no_such_table"),
    ("SELECT no_such_column FROM failing", errors.UndefinedColumn, "no_such_column"),
    ("SELECT no_such_function(1)", errors.UndefinedFunction, "no_such_function"),
    ("SELEC 1", errors.SyntaxError, "SELEC"),
    ("SELECT FROM WHERE", errors.SyntaxError, "WHERE"),
    ("INSERT INTO failing VALUES (NULL, 1)", errors.NotNullViolation, "id"),
    ("SELECT 1 / 0", errors.DivisionByZero, "zero"),
    ("SELECT 'x'::int", errors.InvalidTextRepresentation, "x"),
    ("SELECT 'x'::boolean", errors.InvalidTextRepresentation, "x"),
    ("SELECT '{'::jsonb", errors.InvalidTextRepresentation, "json"),
    ("SELECT 'x'::date", errors.InvalidDatetimeFormat, "x"),
    ("SELECT '2024-02-30'::date", errors.DatetimeFieldOverflow, "2024-02-30"),
    ("SELECT 2147483647 + 1", errors.NumericValueOutOfRange, "out of range"),
    ("SELECT 99999::smallint", errors.NumericValueOutOfRange, "out of range"),
    ("SELECT '99999999999'::int", errors.NumericValueOutOfRange, "out of range"),
    ("CREATE TABLE failing (id int)", errors.DuplicateTable, "failing"),
    ("CREATE TABLE twice (a int, a int)", errors.DuplicateColumn, "a"),
    ("CREATE SCHEMA public", errors.DuplicateSchema, "public"),
    ("SELECT * FROM no_such_schema.t", errors.UndefinedTable, "no_such_schema"),
    ("CREATE TABLE no_such_schema.t (a int)", errors.InvalidSchemaName, "no_such_schema"),
    ("DROP TABLE no_such_table", errors.UndefinedTable, "no_such_table"),
    ("DROP MATERIALIZED VIEW failing", errors.WrongObjectType, "failing"),
    ("SELECT v FROM failing GROUP BY id + 1", errors.GroupingError, "GROUP BY"),
    ("SELECT id FROM failing WHERE count(*) > 1", errors.GroupingError, "aggregate"),
    ("SELECT (SELECT id FROM failing WHERE id < 3)", errors.CardinalityViolation, "more than one row"),
    ("SELECT id FROM failing a, failing b", errors.AmbiguousColumn, "id"),
    ("SELECT 1 + true", errors.UndefinedFunction, ""),
    ("SELECT id FROM failing WHERE 'x'", errors.InvalidTextRepresentation, "x"),
    ("SELECT id FROM failing WHERE id", errors.DatatypeMismatch, "boolean"),
    ("SELECT 1 UNION SELECT 1, 2", errors.SyntaxError, "UNION"),
    ("SELECT sqrt(-1::double precision)", errors.InvalidArgumentForPowerFunction, "negative"),
    ("SHOW no_such_setting", errors.UndefinedObject, "no_such_setting"),
    ("SELECT 'x'::no_such_type", errors.UndefinedObject, "no_such_type"),
    ("SELECT a.x FROM failing b", errors.UndefinedTable, "a"),
    ("INSERT INTO failing VALUES (1, 2, 3)", errors.SyntaxError, "expressions"),
    ("INSERT INTO failing (id, nope) VALUES (1, 2)", errors.UndefinedColumn, "nope"),
    ("EXECUTE nothing", errors.InvalidSqlStatementName, "nothing"),
    ("FETCH 1 FROM nothing", errors.InvalidCursorName, "nothing"),
    ("SELECT regexp_replace('a', '(', 'b')", errors.InvalidRegularExpression, ""),
]


@check
def sqlstates():
    with connect() as connection:
        run(connection, "DROP TABLE IF EXISTS failing", "CREATE TABLE failing (id int PRIMARY KEY, v int)",
            "INSERT INTO failing VALUES (1, 1), (2, 2)", "FLUSH")
        wrong = []
        for statement, wanted, word in ERRORS:
            try:
                connection.execute(statement)
                wrong.append(f"{statement}: no error, wanted {wanted.__name__}")
            except psycopg.Error as error:
                if type(error) is not wanted:
                    wrong.append(f"{statement}: {type(error).__name__} ({error.sqlstate}) instead of {wanted.__name__}"
                                 f" ({wanted.sqlstate}): {error.diag.message_primary}")
                elif word.lower() not in error.diag.message_primary.lower():
                    wrong.append(f"{statement}: {word!r} is not in {error.diag.message_primary!r}")
        assert not wrong, "\n".join(wrong)


@check
def sqlstates_with_parameters():
    """The same through Parse and Bind."""
    with connect() as connection:
        with fails(errors.UndefinedTable):
            connection.execute("SELECT * FROM no_such_table WHERE a = %s", [1])
        with fails(errors.DivisionByZero):
            connection.execute("SELECT 1 / %s::int", [0])
        with fails(errors.InvalidTextRepresentation):
            connection.execute("SELECT %s::int", ["x"])
        with fails(errors.SyntaxError):
            connection.execute("SELEC %s", [1])
        with fails(errors.SyntaxError, "multiple commands"):
            connection.execute("SELECT %s; SELECT 2", [1])
        same(connection.execute("SELECT %s::int", [5]).fetchone(), (5,))


@check
def position_of_an_error():
    with connect() as connection:
        for statement, position in (("SELECT 1, nope FROM pg_class", "11"), ("SELECT * FROM nowhere", "15"), ("SELEC 1", "1")):
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                same((error.diag.statement_position, error.diag.severity), (position, "ERROR"), statement)


def fresh_account(connection) -> None:
    run(connection, "DROP TABLE IF EXISTS account", "CREATE TABLE account (id int PRIMARY KEY, v int)",
        "INSERT INTO account VALUES (1, 10)", "FLUSH")


def accounts() -> list:
    with connect() as connection:
        connection.execute("FLUSH")
        return connection.execute("SELECT * FROM account ORDER BY id").fetchall()


@check
def transaction_commits():
    with connect() as setup:
        fresh_account(setup)
    with connect(autocommit=False) as connection:
        connection.execute("INSERT INTO account VALUES (2, 20)")
        connection.execute("UPDATE account SET v = 11 WHERE id = 1")
        same(accounts(), [(1, 10)], "before COMMIT")
        connection.commit()
        same(accounts(), [(1, 11), (2, 20)])


@check
def transaction_rolls_back():
    with connect() as setup:
        fresh_account(setup)
    with connect(autocommit=False) as connection:
        connection.execute("INSERT INTO account VALUES (2, 20)")
        connection.execute("DELETE FROM account WHERE id = 1")
        connection.rollback()
        same(accounts(), [(1, 10)])


@check
def transaction_status():
    Status = psycopg.pq.TransactionStatus
    with connect(autocommit=False) as connection:
        same(connection.info.transaction_status, Status.IDLE)
        connection.execute("SELECT 1")
        same(connection.info.transaction_status, Status.INTRANS)
        with fails(errors.UndefinedTable):
            connection.execute("SELECT * FROM no_such_table")
        same(connection.info.transaction_status, Status.INERROR)
        with fails(errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        same(connection.info.transaction_status, Status.IDLE)


@check
def failed_transaction_commits_nothing():
    with connect() as setup:
        fresh_account(setup)
    with connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO account VALUES (3, 30)")
        with fails(errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        same(connection.execute("COMMIT").statusmessage, "ROLLBACK")
        same(accounts(), [(1, 10)])


@check
def savepoints():
    with connect() as setup:
        fresh_account(setup)
    with connect() as connection:
        with connection.transaction():
            connection.execute("INSERT INTO account VALUES (2, 20)")
            with connection.transaction(force_rollback=True):
                connection.execute("INSERT INTO account VALUES (3, 30)")
            with fails(errors.DivisionByZero), connection.transaction():
                connection.execute("INSERT INTO account VALUES (4, 40)")
                connection.execute("SELECT 1 / 0")
            with connection.transaction():
                connection.execute("INSERT INTO account VALUES (5, 50)")
        same(accounts(), [(1, 10), (2, 20), (5, 50)])


@check
def several_statements_are_one_transaction():
    with connect() as connection:
        fresh_account(connection)
        with fails(errors.DivisionByZero):
            connection.execute("INSERT INTO account VALUES (2, 20); SELECT 1 / 0")
        same(accounts(), [(1, 10)])


@check
def isolation_and_read_only():
    with connect(autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        same(connection.execute("SHOW transaction_read_only").fetchone(), ("on",))
        same(connection.execute("SHOW transaction_isolation").fetchone(), ("repeatable read",))
        with fails(errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE never (a int)")
        connection.rollback()


@check
def reads_of_a_transaction_are_of_one_moment():
    with connect() as setup:
        fresh_account(setup)
    with connect(autocommit=False) as reader, connect() as writer:
        same(reader.execute("SELECT count(*) FROM account").fetchone(), (1,))
        run(writer, "INSERT INTO account VALUES (7, 70)", "FLUSH")
        same(reader.execute("SELECT count(*) FROM account").fetchone(), (1,))
        reader.rollback()
        same(reader.execute("SELECT count(*) FROM account").fetchone(), (2,))


@check
def row_counts():
    with connect() as connection:
        fresh_account(connection)
        same(connection.execute("INSERT INTO account VALUES (2, 1), (3, 1)").statusmessage, "INSERT 0 2")
        connection.execute("FLUSH")
        same(connection.execute("UPDATE account SET v = 5 WHERE id > 1").statusmessage, "UPDATE 2")
        connection.execute("FLUSH")
        same(connection.execute("SELECT * FROM account WHERE v = 5").statusmessage, "SELECT 2")
        same(connection.execute("DELETE FROM account WHERE v = 5").statusmessage, "DELETE 2")


@check
def returning():
    with connect() as connection:
        fresh_account(connection)
        same(connection.execute("INSERT INTO account VALUES (8, 80) RETURNING id, v * 2").fetchall(), [(8, 160)])
        connection.execute("FLUSH")
        same(connection.execute("UPDATE account SET v = v + 1 WHERE id = 8 RETURNING *").fetchall(), [(8, 81)])
        connection.execute("FLUSH")
        same(connection.execute("DELETE FROM account WHERE id = 8 RETURNING v").fetchall(), [(81,)])


@check
def insert_of_a_query():
    with connect() as connection:
        fresh_account(connection)
        connection.execute("INSERT INTO account SELECT n, n * 2 FROM generate_series(2, 100) AS g(n)")
        connection.execute("FLUSH")
        connection.execute("INSERT INTO account SELECT id + 1000, v FROM account")
        connection.execute("FLUSH")
        same(connection.execute("SELECT count(*), max(id) FROM account").fetchone(), (200, 1100))


@check
def implicit_flush():
    with connect() as connection:
        fresh_account(connection)
        run(connection, "DROP MATERIALIZED VIEW IF EXISTS total",
            "CREATE MATERIALIZED VIEW total AS SELECT sum(v) AS s FROM account", "SET rw_implicit_flush = true")
        for i in range(2, 12):
            connection.execute("INSERT INTO account VALUES (%s, %s)", [i, i])
            same(connection.execute("SELECT s FROM total").fetchone()[0], 10 + sum(range(2, i + 1)))
        connection.execute("DROP MATERIALIZED VIEW total")


@check
def notices_arrive():
    with connect() as connection:
        heard = []
        connection.add_notice_handler(lambda diag: heard.append((diag.severity, diag.message_primary)))
        connection.execute("DROP TABLE IF EXISTS never_there")
        same(heard, [("NOTICE", 'table "never_there" does not exist, skipping')])


@check
def type_info_of_an_array_type():
    from psycopg.types import TypeInfo

    with connect() as connection:
        found = TypeInfo.fetch(connection, "int8")
        same((found.name, found.oid, found.array_oid), ("int8", 20, 1016))


@check
def settings():
    with connect() as connection:
        connection.execute("SELECT set_config('application_name', 'mine', false)")
        same(connection.execute("SELECT current_setting('application_name')").fetchone(), ("mine",))
        same(connection.execute("SELECT current_setting('no.such', true)").fetchone(), (None,))
        connection.execute("RESET ALL")
        connection.execute("DISCARD ALL")
        same(connection.execute("SELECT current_database(), current_schema(), current_user").fetchone(),
             ("dev", "public", "root"))


@check
def wrong_database_and_user():
    with fails(psycopg.OperationalError, "no_such_database"):
        psycopg.connect(suite.server.url.replace("/dev", "/no_such_database"))
    with fails(psycopg.OperationalError, "no_such_user"):
        psycopg.connect(suite.server.url.replace("root@", "no_such_user:word@"))


@check
def password_by_scram():
    with connect() as connection:
        run(connection, "DROP USER IF EXISTS scrammer", "CREATE USER scrammer WITH PASSWORD 'sécret'")
        url = suite.server.url.replace("root@", "scrammer@")
        with psycopg.connect(url, password="sécret") as other:
            same(other.execute("SELECT current_user").fetchone(), ("scrammer",))
        with fails(psycopg.OperationalError, "password"):
            psycopg.connect(url, password="wrong")
        connection.execute("DROP USER scrammer")


LONG = "SELECT count(*) FROM generate_series(1, 1000000) a(x), generate_series(1, 1000000) b(y) WHERE (x + y) % 7 = 1"


@check
def statement_timeout():
    with connect() as connection:
        connection.execute("SET statement_timeout = 200")
        with fails(errors.QueryCanceled, "timeout"):
            connection.execute(LONG)
        same(connection.execute("SELECT 1").fetchone(), (1,))
        with fails(errors.QueryCanceled, "timeout"):
            connection.execute("SELECT pg_sleep(30)")
        connection.execute("RESET statement_timeout")
        same(connection.execute("SHOW statement_timeout").fetchone(), ("0",))


def cancelled(statement: str) -> None:
    with connect() as connection:
        timer = threading.Timer(0.3, connection.cancel_safe, kwargs={"timeout": 5})
        timer.daemon = True
        timer.start()
        with fails(errors.QueryCanceled, "cancel"):
            connection.execute(statement)
        same(connection.execute("SELECT 1").fetchone(), (1,))


@check
def cancel_of_a_query():
    cancelled(LONG)


@check
def cancel_of_a_sleep():
    cancelled("SELECT pg_sleep(30)")


if __name__ == "__main__":
    suite.main()
