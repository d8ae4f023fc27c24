// pgjdbc: statements, prepared statements past the threshold, batches, fetch size, metadata, COPY, keys and cancel.
// usage: java -cp postgresql.jar:DIR Check jdbc:postgresql://HOST:PORT/dev?user=root

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;

public class Check {
    interface Body {
        void run(Connection connection) throws Exception;
    }

    static String url;
    static int passed;
    static int failed;

    static void same(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError("found " + found + ", wanted " + wanted);
        }
    }

    static void contains(List<?> found, Object wanted) {
        if (!found.contains(wanted)) {
            throw new AssertionError(wanted + " is not in " + found);
        }
    }

    static void run(Connection connection, String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String text : statements) {
                statement.execute(text);
            }
        }
    }

    static void fresh(Connection connection, String name) throws SQLException {
        run(connection, "DROP TABLE IF EXISTS " + name, "CREATE TABLE " + name + " (id int PRIMARY KEY, v text, n numeric)");
    }

    static long count(Connection connection, String name) throws SQLException {
        run(connection, "FLUSH");
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT count(*) FROM " + name)) {
            rows.next();
            return rows.getLong(1);
        }
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            found.add(rows.getString(name));
        }
        return found;
    }

    static void check(String name, Body body) {
        var thread = Executors.newSingleThreadExecutor(task -> {
            Thread made = new Thread(task);
            made.setDaemon(true);
            return made;
        });
        Future<?> done = thread.submit(() -> {
            try (Connection connection = DriverManager.getConnection(url)) {
                body.run(connection);
            }
            return null;
        });
        try {
            done.get(20, TimeUnit.SECONDS);
            passed++;
        } catch (Exception error) {
            failed++;
            Throwable cause = error.getCause() == null ? error : error.getCause();
            String state = cause instanceof SQLException ? " [" + ((SQLException) cause).getSQLState() + "]" : "";
            String where = Arrays.stream(cause.getStackTrace()).filter(f -> f.getClassName().startsWith("Check"))
                    .skip(0).map(f -> "line " + f.getLineNumber()).distinct().limit(3).toList().toString();
            System.out.println("FAIL jdbc: " + name + "\n     " + cause + state + " at " + where);
        }
        thread.shutdownNow();
    }

    public static void main(String[] arguments) {
        url = arguments[0] + "&connectTimeout=5";
        statements();
        preparedStatements();
        transactions();
        metadata();
        others();
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    static void statements() {
        check("statement_of_every_type", connection -> {
            try (Statement statement = connection.createStatement();
                    ResultSet row = statement.executeQuery("SELECT 1::int AS i, 2::bigint AS l, 3::smallint AS s, "
                            + "true AS b, 1.5::real AS f, 2.5::double precision AS d, 12.5::numeric AS n, 'x' AS t, "
                            + "'\\x00ff'::bytea AS raw, '2024-01-02'::date AS day, "
                            + "'2024-01-02 03:04:05'::timestamp AS at, NULL::int AS z, ARRAY['a', NULL] AS a")) {
                row.next();
                same(row.getInt("i"), 1);
                same(row.getLong("l"), 2L);
                same(row.getShort("s"), (short) 3);
                same(row.getBoolean("b"), true);
                same(row.getFloat("f"), 1.5f);
                same(row.getDouble("d"), 2.5);
                same(row.getBigDecimal("n").compareTo(new BigDecimal("12.5")), 0);
                same(row.getString("t"), "x");
                same(Arrays.toString(row.getBytes("raw")), "[0, -1]");
                same(row.getDate("day").toString(), "2024-01-02");
                same(row.getTimestamp("at"), Timestamp.valueOf("2024-01-02 03:04:05"));
                row.getInt("z");
                same(row.wasNull(), true);
                same(Arrays.asList((Object[]) row.getArray("a").getArray()), Arrays.asList("a", null));
            }
        });
        check("result_set_metadata", connection -> {
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT 1::int AS i, 'x'::text AS t, 1.5::numeric AS n")) {
                same(rows.getMetaData().getColumnCount(), 3);
                same(rows.getMetaData().getColumnName(1), "i");
                same(rows.getMetaData().getColumnType(1), Types.INTEGER);
                same(rows.getMetaData().getColumnType(2), Types.VARCHAR);
                same(rows.getMetaData().getColumnType(3), Types.NUMERIC);
            }
        });
        check("update_counts", connection -> {
            fresh(connection, "jdbc_counts");
            try (Statement statement = connection.createStatement()) {
                same(statement.executeUpdate("INSERT INTO jdbc_counts VALUES (1, 'a', 1), (2, 'b', 2)"), 2);
                run(connection, "FLUSH");
                same(statement.executeUpdate("UPDATE jdbc_counts SET v = 'c'"), 2);
                run(connection, "FLUSH");
                same(statement.executeUpdate("DELETE FROM jdbc_counts WHERE id = 1"), 1);
            }
        });
        check("errors", connection -> {
            String[][] expected = {{"SELECT * FROM nowhere", "42P01"}, {"SELEC 1", "42601"}, {"SELECT 1 / 0", "22012"},
                {"SELECT 'x'::int", "22P02"}};
            for (String[] one : expected) {
                try {
                    run(connection, one[0]);
                    throw new AssertionError(one[0] + " did not fail");
                } catch (SQLException error) {
                    same(error.getSQLState(), one[1]);
                }
            }
        });
    }

    static void preparedStatements() {
        check("prepared_past_the_threshold", connection -> {
            fresh(connection, "jdbc_prepared");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_prepared VALUES (?, ?, ?)")) {
                for (int i = 0; i < 12; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "v" + i);
                    insert.setBigDecimal(3, new BigDecimal(i + ".25"));
                    same(insert.executeUpdate(), 1);
                }
            }
            run(connection, "FLUSH");
            try (PreparedStatement select = connection.prepareStatement("SELECT * FROM jdbc_prepared WHERE id = ?")) {
                for (int i = 0; i < 12; i++) {
                    select.setInt(1, i);
                    try (ResultSet row = select.executeQuery()) {
                        same(row.next(), true);
                        same(row.getInt(1), i);
                        same(row.getString(2), "v" + i);
                        same(row.getBigDecimal(3).compareTo(new BigDecimal(i + ".25")), 0);
                        same(row.next(), false);
                    }
                }
            }
        });
        check("binary_transfer_of_every_type", connection -> {
            String text = "SELECT ?::int, ?::bigint, ?::double precision, ?::timestamp, ?::date, ?::boolean, ?::numeric, ?::bytea";
            try (PreparedStatement select = connection.prepareStatement(text)) {
                for (int i = 0; i < 12; i++) {
                    select.setInt(1, i);
                    select.setLong(2, 1L << 40);
                    select.setDouble(3, 0.1);
                    select.setTimestamp(4, Timestamp.valueOf("2024-01-02 03:04:05.678"));
                    select.setDate(5, java.sql.Date.valueOf("2024-02-29"));
                    select.setBoolean(6, true);
                    select.setBigDecimal(7, new BigDecimal("1.25"));
                    select.setBytes(8, new byte[] {0, 1});
                    try (ResultSet row = select.executeQuery()) {
                        row.next();
                        same(row.getInt(1), i);
                        same(row.getLong(2), 1L << 40);
                        same(row.getDouble(3), 0.1);
                        same(row.getTimestamp(4), Timestamp.valueOf("2024-01-02 03:04:05.678"));
                        same(row.getDate(5).toString(), "2024-02-29");
                        same(row.getBoolean(6), true);
                        same(row.getBigDecimal(7).compareTo(new BigDecimal("1.25")), 0);
                        same(row.getBytes(8).length, 2);
                    }
                }
            }
        });
        check("array_parameter", connection -> {
            fresh(connection, "jdbc_any");
            run(connection, "INSERT INTO jdbc_any VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)", "FLUSH");
            Array wanted = connection.createArrayOf("int4", new Integer[] {1, 3});
            try (PreparedStatement select = connection.prepareStatement("SELECT v FROM jdbc_any WHERE id = ANY(?) ORDER BY id")) {
                for (int i = 0; i < 7; i++) {
                    select.setArray(1, wanted);
                    try (ResultSet rows = select.executeQuery()) {
                        same(column(rows, "v"), List.of("a", "c"));
                    }
                }
            }
        });
        check("null_parameters", connection -> {
            try (PreparedStatement select = connection.prepareStatement("SELECT ?::int, ?::text")) {
                select.setNull(1, Types.INTEGER);
                select.setNull(2, Types.VARCHAR);
                try (ResultSet row = select.executeQuery()) {
                    row.next();
                    same(row.getObject(1), null);
                    same(row.getObject(2), null);
                }
            }
        });
        check("parameter_metadata", connection -> {
            fresh(connection, "jdbc_described");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_described VALUES (?, ?, ?)")) {
                same(insert.getParameterMetaData().getParameterCount(), 3);
                same(insert.getParameterMetaData().getParameterType(1), Types.INTEGER);
            }
        });
        check("batch_insert", connection -> {
            fresh(connection, "jdbc_batch");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_batch VALUES (?, ?, ?)")) {
                for (int i = 0; i < 500; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "v" + i);
                    insert.setNull(3, Types.NUMERIC);
                    insert.addBatch();
                }
                same(Arrays.stream(insert.executeBatch()).sum(), 500);
            }
            same(count(connection, "jdbc_batch"), 500L);
        });
        check("batch_rewritten_as_one_insert", unused -> {
            try (Connection connection = DriverManager.getConnection(url + "&reWriteBatchedInserts=true")) {
                fresh(connection, "jdbc_rewritten");
                try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_rewritten VALUES (?, ?, ?)")) {
                    for (int i = 0; i < 100; i++) {
                        insert.setInt(1, i);
                        insert.setString(2, "v" + i);
                        insert.setBigDecimal(3, BigDecimal.ONE);
                        insert.addBatch();
                    }
                    insert.executeBatch();
                }
                same(count(connection, "jdbc_rewritten"), 100L);
            }
        });
        check("simple_query_mode", unused -> {
            try (Connection connection = DriverManager.getConnection(url + "&preferQueryMode=simple");
                    PreparedStatement select = connection.prepareStatement("SELECT ?::int + 1")) {
                select.setInt(1, 41);
                try (ResultSet row = select.executeQuery()) {
                    row.next();
                    same(row.getInt(1), 42);
                }
            }
        });
    }

    static void transactions() {
        check("commit_and_rollback", connection -> {
            fresh(connection, "jdbc_tx");
            connection.setAutoCommit(false);
            run(connection, "INSERT INTO jdbc_tx VALUES (1, 'gone', 1)");
            connection.rollback();
            run(connection, "INSERT INTO jdbc_tx VALUES (2, 'kept', 1)");
            connection.commit();
            connection.setAutoCommit(true);
            same(count(connection, "jdbc_tx"), 1L);
        });
        check("savepoint", connection -> {
            fresh(connection, "jdbc_savepoint");
            connection.setAutoCommit(false);
            run(connection, "INSERT INTO jdbc_savepoint VALUES (1, 'kept', 1)");
            var savepoint = connection.setSavepoint("s");
            run(connection, "INSERT INTO jdbc_savepoint VALUES (2, 'gone', 1)");
            connection.rollback(savepoint);
            connection.commit();
            connection.setAutoCommit(true);
            same(count(connection, "jdbc_savepoint"), 1L);
        });
        check("fetch_size_suspends_the_portal", connection -> {
            connection.setAutoCommit(false);
            try (PreparedStatement select = connection.prepareStatement("SELECT n FROM generate_series(1, 1000) AS g(n) ORDER BY n")) {
                for (int round = 0; round < 7; round++) {
                    select.setFetchSize(64);
                    int seen = 0;
                    try (ResultSet rows = select.executeQuery()) {
                        while (rows.next()) {
                            same(rows.getInt(1), ++seen);
                        }
                    }
                    same(seen, 1000);
                }
            }
            connection.commit();
        });
        check("two_portals_at_once", connection -> {
            connection.setAutoCommit(false);
            try (Statement one = connection.createStatement(); Statement two = connection.createStatement()) {
                one.setFetchSize(3);
                two.setFetchSize(5);
                int seen = 0;
                try (ResultSet a = one.executeQuery("SELECT n FROM generate_series(1, 20) AS g(n) ORDER BY n");
                        ResultSet b = two.executeQuery("SELECT n FROM generate_series(1, 20) AS g(n) ORDER BY n")) {
                    while (a.next() && b.next()) {
                        same(a.getInt(1), b.getInt(1));
                        seen++;
                    }
                }
                same(seen, 20);
            }
            connection.commit();
        });
        check("isolation_and_read_only", connection -> {
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            same(connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            run(connection, "SELECT 1");
            connection.commit();
        });
    }

    static void metadata() {
        check("metadata_sample", connection -> run(connection, "DROP TABLE IF EXISTS meta CASCADE",
                "CREATE TABLE meta (a int, b text NOT NULL, c numeric, PRIMARY KEY (a, b))", "CREATE INDEX meta_c ON meta (c)",
                "CREATE VIEW meta_view AS SELECT a FROM meta",
                "CREATE MATERIALIZED VIEW meta_total AS SELECT b, count(*) AS n FROM meta GROUP BY b"));
        check("metadata_product", connection -> {
            same(connection.getMetaData().getDatabaseProductName(), "PostgreSQL");
            same(connection.getMetaData().getDatabaseMajorVersion() >= 14, true);
            same(connection.getMetaData().getUserName(), "root");
            same(connection.getMetaData().getSQLKeywords().isEmpty(), false);
        });
        check("metadata_tables", connection -> {
            List<String> found = new ArrayList<>();
            try (ResultSet rows = connection.getMetaData().getTables(null, "public", "meta%", null)) {
                while (rows.next()) {
                    found.add(rows.getString("TABLE_NAME") + " " + rows.getString("TABLE_TYPE"));
                }
            }
            contains(found, "meta TABLE");
            contains(found, "meta_view VIEW");
            contains(found, "meta_total MATERIALIZED VIEW");
        });
        check("metadata_columns", connection -> {
            List<String> found = new ArrayList<>();
            try (ResultSet rows = connection.getMetaData().getColumns(null, "public", "meta", "%")) {
                while (rows.next()) {
                    found.add(rows.getString("COLUMN_NAME") + " " + rows.getInt("DATA_TYPE") + " " + rows.getString("IS_NULLABLE")
                            + " " + rows.getInt("ORDINAL_POSITION"));
                }
            }
            same(found, List.of("a 4 NO 1", "b 12 NO 2", "c 2 YES 3"));
        });
        check("metadata_primary_keys", connection -> {
            try (ResultSet rows = connection.getMetaData().getPrimaryKeys(null, "public", "meta")) {
                same(column(rows, "COLUMN_NAME"), List.of("a", "b"));
            }
        });
        check("metadata_indexes", connection -> {
            try (ResultSet rows = connection.getMetaData().getIndexInfo(null, "public", "meta", false, true)) {
                List<String> found = column(rows, "INDEX_NAME");
                contains(found, "meta_c");
                contains(found, "meta_pkey");
            }
        });
        check("metadata_schemas", connection -> {
            try (ResultSet rows = connection.getMetaData().getSchemas()) {
                contains(column(rows, "TABLE_SCHEM"), "public");
            }
            try (ResultSet rows = connection.getMetaData().getCatalogs()) {
                contains(column(rows, "TABLE_CAT"), "dev");
            }
        });
        check("metadata_types", connection -> {
            try (ResultSet rows = connection.getMetaData().getTypeInfo()) {
                List<String> found = column(rows, "TYPE_NAME");
                for (String name : List.of("int4", "int8", "text", "numeric", "timestamp", "bool", "float8")) {
                    contains(found, name);
                }
            }
        });
        check("metadata_keys_and_functions", connection -> {
            try (ResultSet rows = connection.getMetaData().getImportedKeys(null, "public", "meta")) {
                same(rows.next(), false);
            }
            try (ResultSet rows = connection.getMetaData().getFunctions(null, null, "%")) {
                rows.next();
            }
            try (ResultSet rows = connection.getMetaData().getTablePrivileges(null, "public", "meta")) {
                rows.next();
            }
            try (ResultSet rows = connection.getMetaData().getBestRowIdentifier(null, "public", "meta", 0, true)) {
                same(column(rows, "COLUMN_NAME").size(), 2);
            }
        });
    }

    static void others() {
        check("copy_in_and_out", connection -> {
            fresh(connection, "jdbc_copy");
            var copy = connection.unwrap(PGConnection.class).getCopyAPI();
            same(copy.copyIn("COPY jdbc_copy FROM STDIN (FORMAT csv)", new StringReader("1,one,1.5\n2,\"t,wo\",\n")), 2L);
            run(connection, "FLUSH");
            StringWriter out = new StringWriter();
            same(copy.copyOut("COPY (SELECT id, v FROM jdbc_copy ORDER BY id) TO STDOUT (FORMAT csv)", out), 2L);
            same(out.toString(), "1,one\n2,\"t,wo\"\n");
        });
        check("returning_as_generated_keys", connection -> {
            fresh(connection, "jdbc_keys");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_keys VALUES (?, ?, ?)", new String[] {"id"})) {
                insert.setInt(1, 7);
                insert.setString(2, "x");
                insert.setBigDecimal(3, BigDecimal.ONE);
                same(insert.executeUpdate(), 1);
                try (ResultSet keys = insert.getGeneratedKeys()) {
                    same(keys.next(), true);
                    same(keys.getInt("id"), 7);
                }
            }
        });
        check("all_columns_as_generated_keys", connection -> {
            fresh(connection, "jdbc_all_keys");
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("INSERT INTO jdbc_all_keys VALUES (8, 'x', 1)", Statement.RETURN_GENERATED_KEYS);
                try (ResultSet keys = statement.getGeneratedKeys()) {
                    same(keys.next(), true);
                    same(keys.getString("v"), "x");
                }
            }
        });
        check("is_valid_and_schema", connection -> {
            same(connection.isValid(5), true);
            same(connection.getSchema(), "public");
            same(connection.getCatalog(), "dev");
        });
        check("cancel", connection -> {
            try (Statement statement = connection.createStatement()) {
                Thread canceller = new Thread(() -> {
                    try {
                        Thread.sleep(500);
                        statement.cancel();
                    } catch (Exception ignored) {
                        // The check itself then runs out of time.
                    }
                });
                canceller.setDaemon(true);
                canceller.start();
                try {
                    statement.execute("SELECT pg_sleep(15)");
                    throw new AssertionError("the sleep was not cancelled");
                } catch (SQLException error) {
                    same(error.getSQLState(), "57014");
                }
            }
            run(connection, "SELECT 1");
        });
        check("query_timeout", connection -> {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                statement.execute("SELECT pg_sleep(15)");
                throw new AssertionError("the sleep was not cancelled");
            } catch (SQLException error) {
                same(error.getSQLState(), "57014");
            }
        });
    }
}
