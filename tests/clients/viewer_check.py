"""The user that a dashboard connects as: what it may read, what it sees in the catalog, and its way in by TLS."""

import os
import subprocess
import tempfile
from unittest import mock

import psycopg

from harness import Server, Suite, fails, same

suite = Suite("viewer")
check = suite.check


@check
def may_read_one_view():
    with psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5) as root:
        root.execute("CREATE TABLE regions (name varchar PRIMARY KEY)")
        root.execute("CREATE TABLE orders (id int PRIMARY KEY, region varchar, amount double precision)")
        root.execute(
            "CREATE MATERIALIZED VIEW revenue AS SELECT region, sum(amount) AS amount FROM orders GROUP BY region"
        )
        root.execute("INSERT INTO orders VALUES (1, 'north', 10)")
        root.execute("FLUSH")
        root.execute("CREATE USER viewer PASSWORD 'long enough 1'")
        root.execute("GRANT SELECT ON revenue TO viewer")
    url = suite.server.url.replace("root@", "viewer:long%20enough%201@")
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as reader:
        assert reader.execute("SELECT * FROM revenue").fetchall() == [("north", 10.0)]
        with fails(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM orders")
        with fails(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM regions")


@check
def sees_only_what_it_may_read():
    url = suite.server.url.replace("root@", "viewer:long%20enough%201@")
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as reader:
        rows = reader.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        same(rows, [("revenue",)])


@check
def over_tls_with_a_password():
    """As a data source beyond loopback has it: sslmode verify-full, with the authority that signed the certificate."""
    with tempfile.TemporaryDirectory() as folder:
        made = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            f"{folder}/key.pem",
            "-out",
            f"{folder}/certificate.pem",
        ]
        subprocess.run(made, check=True, capture_output=True)
        with mock.patch.dict(
            os.environ, THALWEG_TLS_CERTIFICATE=f"{folder}/certificate.pem", THALWEG_TLS_KEY=f"{folder}/key.pem"
        ):
            server = Server()
        try:
            with psycopg.connect(server.url + "?sslmode=require", autocommit=True, connect_timeout=5) as root:
                root.execute("CREATE USER viewer PASSWORD 'long enough 1'")
            trusted = f"?sslmode=verify-full&sslrootcert={folder}/certificate.pem"
            url = server.url.replace("root@", "viewer:long%20enough%201@")
            with psycopg.connect(url + trusted, autocommit=True, connect_timeout=5) as reader:
                same((reader.pgconn.ssl_in_use, reader.execute("SELECT 1").fetchone()), (True, (1,)))
            with fails(psycopg.OperationalError):
                psycopg.connect(url.replace("enough", "wrong") + trusted, connect_timeout=5)
        finally:
            server.stop()


if __name__ == "__main__":
    suite.main()
