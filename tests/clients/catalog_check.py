"""The catalog queries that Grafana and Metabase send while a data source is set up and browsed, through psycopg."""

import psycopg

from harness import Suite, same

suite = Suite("catalog")
check = suite.check

GRAFANA_TABLES = """
SELECT CASE WHEN quote_ident(table_schema) IN (
          SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
                               array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i,
               string_to_array(current_setting('search_path'), ',') s)
       THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
FROM information_schema.tables
WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache',
                                        '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config',
                                        'timescaledb_information', 'timescaledb_experimental')
ORDER BY CASE WHEN quote_ident(table_schema) IN (
          SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
                               array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i,
               string_to_array(current_setting('search_path'), ',') s)
       THEN 0 ELSE 1 END, 1
"""

GRAFANA_COLUMNS = """
SELECT quote_ident(column_name) AS "column", data_type AS "type"
FROM information_schema.columns
WHERE CASE WHEN array_length(parse_ident('{0}'), 1) = 2
        THEN quote_ident(table_schema) = (parse_ident('{0}'))[1] AND quote_ident(table_name) = (parse_ident('{0}'))[2]
        ELSE quote_ident(table_name) = '{0}' AND quote_ident(table_schema) IN (
          SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
                               array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i,
               string_to_array(current_setting('search_path'), ',') s)
      END
"""

METABASE_TABLES = """
SELECT n.nspname AS schema, c.relname AS name,
       CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW'
                      WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END AS type,
       d.description AS description, stat.n_live_tup AS estimated_row_count
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_description AS d
       ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
LEFT JOIN pg_stat_user_tables AS stat ON n.nspname = stat.schemaname AND c.relname = stat.relname
WHERE c.relnamespace = n.oid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relkind IN ('r', 'p', 'v', 'f', 'm') AND n.nspname IN ('public')
ORDER BY type ASC, schema ASC, name ASC
"""

METABASE_COLUMNS = """
SELECT c.column_name AS name,
       CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN format('%s', c.udt_name)
            ELSE format('"%s"."%s"', c.udt_schema, c.udt_name) END AS "database-type",
       c.ordinal_position - 1 AS "database-position", c.table_schema AS "table-schema", c.table_name AS "table-name",
       pk.column_name IS NOT NULL AS "pk?",
       col_description(CAST(CAST(format('%I.%I', CAST(c.table_schema AS TEXT), CAST(c.table_name AS TEXT)) AS regclass)
                            AS oid), c.ordinal_position) AS "field-comment",
       ((c.column_default IS NULL) OR (lower(c.column_default) = 'null')) AND (c.is_nullable = 'NO')
         AND NOT ((c.column_default IS NOT NULL) AND (c.column_default LIKE '%nextval(%'))
         AND NOT (c.is_identity = 'YES') AS "database-required"
FROM information_schema.columns AS c
LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name
           FROM information_schema.table_constraints AS tc
           INNER JOIN information_schema.key_column_usage AS kc
             ON tc.constraint_name = kc.constraint_name AND tc.table_schema = kc.table_schema
                AND tc.table_name = kc.table_name
           WHERE tc.constraint_type = 'PRIMARY KEY') AS pk
  ON c.table_schema = pk.table_schema AND c.table_name = pk.table_name AND c.column_name = pk.column_name
WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND c.table_schema IN ('public')
ORDER BY 4, 5, 3
"""

METABASE_FOREIGN_KEYS = """
SELECT fk_ns.nspname AS "fk-table-schema", fk_table.relname AS "fk-table-name", fk_column.attname AS "fk-column-name",
       pk_ns.nspname AS "pk-table-schema", pk_table.relname AS "pk-table-name", pk_column.attname AS "pk-column-name"
FROM pg_constraint AS c
INNER JOIN pg_class AS fk_table ON c.conrelid = fk_table.oid
INNER JOIN pg_namespace AS fk_ns ON c.connamespace = fk_ns.oid
INNER JOIN pg_attribute AS fk_column ON c.conrelid = fk_column.attrelid
INNER JOIN pg_class AS pk_table ON c.confrelid = pk_table.oid
INNER JOIN pg_namespace AS pk_ns ON pk_table.relnamespace = pk_ns.oid
INNER JOIN pg_attribute AS pk_column ON c.confrelid = pk_column.attrelid
WHERE fk_ns.nspname !~ '^information_schema|catalog_history|pg_' AND c.contype = 'f'
  AND fk_column.attnum = ANY(c.conkey) AND pk_column.attnum = ANY(c.confkey)
"""

METABASE_PRIVILEGES = """
WITH table_privileges AS (
  SELECT NULL AS role, t.schemaname AS schema, t.objectname AS table,
         pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"'
           || replace(t.objectname, '"', '""') || '"', 'update') AS update,
         pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"'
           || replace(t.objectname, '"', '""') || '"', 'select') AS select
  FROM (SELECT schemaname, tablename AS objectname FROM pg_catalog.pg_tables
        UNION SELECT schemaname, viewname AS objectname FROM pg_views
        UNION SELECT schemaname, matviewname AS objectname FROM pg_matviews) t
  WHERE t.schemaname !~ '^pg_' AND t.schemaname <> 'information_schema'
    AND pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage'))
SELECT t.* FROM table_privileges t
"""

METABASE_INDEXES = """
SELECT tmp.table_schema AS "table-schema", tmp.table_name AS "table-name",
       trim(BOTH '"' FROM pg_catalog.pg_get_indexdef(tmp.ci_oid, tmp.pos, false)) AS "field-name"
FROM (SELECT n.nspname AS table_schema, ct.relname AS table_name, ci.oid AS ci_oid, 1 AS pos
      FROM pg_catalog.pg_class ct
      JOIN pg_catalog.pg_namespace n ON ct.relnamespace = n.oid
      JOIN pg_catalog.pg_index i ON ct.oid = i.indrelid
      JOIN pg_catalog.pg_class ci ON ci.oid = i.indexrelid
      WHERE pg_catalog.pg_get_expr(i.indpred, i.indrelid) IS NULL
        AND n.nspname !~ '^information_schema|catalog_history|pg_') tmp
"""


def ask(query: str) -> list:
    with psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5) as connection:
        return connection.execute(query).fetchall()


@check
def sample_is_created():
    with psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5) as connection:
        for statement in (
            "CREATE TABLE metrics (id int PRIMARY KEY, at timestamp NOT NULL, value double precision)",
            "CREATE MATERIALIZED VIEW busy AS SELECT id, count(*) AS n FROM metrics GROUP BY id",
            "CREATE VIEW plain AS SELECT id FROM metrics",
            "CREATE INDEX metrics_at ON metrics (at)",
            "INSERT INTO metrics VALUES (1, '2024-01-01 00:00:10', 1.5), (2, '2024-01-01 00:01:10', 2.5)",
            "FLUSH",
        ):
            connection.execute(statement)


@check
def grafana_version():
    assert ask("SELECT current_setting('server_version_num')::int/100 AS version")[0][0] >= 1400


@check
def grafana_timescale():
    same(ask("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"), [])


@check
def grafana_tables():
    found = [row[0] for row in ask(GRAFANA_TABLES)]
    assert {"metrics", "busy", "plain"} <= set(found), found


@check
def grafana_columns():
    same(sorted(ask(GRAFANA_COLUMNS.format("metrics"))),
         [("at", "timestamp without time zone"), ("id", "integer"), ("value", "double precision")])
    same(sorted(ask(GRAFANA_COLUMNS.format("public.busy"))), [("id", "integer"), ("n", "bigint")])


@check
def grafana_time_filter_and_group():
    same(ask("SELECT floor(extract(epoch from at)/60)*60 AS time, avg(value) FROM metrics "
             "WHERE at BETWEEN '2024-01-01T00:00:00Z' AND '2024-01-02T00:00:00Z' GROUP BY 1 ORDER BY 1"),
         [(1704067200, 1.5), (1704067260, 2.5)])


@check
def materialized_view_in_information_schema():
    same(ask("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'busy'"), [(1,)])
    same(ask("SELECT matviewname FROM pg_matviews WHERE schemaname = 'public'"), [("busy",)])
    same(ask("SELECT relkind FROM pg_class WHERE relname = 'busy'")[0][0] in ("m", b"m"), True)


@check
def metabase_tables():
    same([row[1:3] for row in ask(METABASE_TABLES)],
         [("busy", "MATERIALIZED VIEW"), ("metrics", "TABLE"), ("plain", "VIEW")])


@check
def metabase_columns():
    found = [(row[4], row[0], row[1], row[2], row[5], row[7]) for row in ask(METABASE_COLUMNS)]
    same([row for row in found if row[0] == "metrics"],
         [("metrics", "id", "int4", 0, True, True), ("metrics", "at", "timestamp", 1, False, True),
          ("metrics", "value", "float8", 2, False, False)])
    same([row[1] for row in found if row[0] == "busy"], ["id", "n"])


@check
def metabase_foreign_keys():
    same(ask(METABASE_FOREIGN_KEYS), [])


@check
def metabase_privileges():
    found = {row[2]: row[4] for row in ask(METABASE_PRIVILEGES)}
    same({name: found.get(name) for name in ("metrics", "busy", "plain")}, {"metrics": True, "busy": True, "plain": True})


@check
def metabase_indexes():
    found = {row[1:] for row in ask(METABASE_INDEXES)}
    assert {("metrics", "id"), ("metrics", "at")} <= found, found


@check
def metabase_enums():
    same(ask("SELECT nspname, typname, enumlabel FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid "
             "JOIN pg_namespace n ON n.oid = t.typnamespace"), [])


if __name__ == "__main__":
    suite.main()
