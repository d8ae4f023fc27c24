"""Subscriptions by name and cursors over them: what they fetch is what happened, nothing is lost between two of them."""

import random
import sys
import tempfile
import threading
import time

from harness import Server, Tally, refusal

INSERT, UPDATE_INSERT, UPDATE_DELETE, DELETE = "Insert", "UpdateInsert", "UpdateDelete", "Delete"


def fetched(session, statement: str) -> list[tuple]:
    return session.execute(statement).fetchall()


def every_kind_of_change(server: Server):
    with server.connect() as session:
        session.execute("CREATE TABLE item (id INT PRIMARY KEY, v INT)")
        session.execute("INSERT INTO item VALUES (1, 10)")
        session.execute("FLUSH")
        session.execute("CREATE SUBSCRIPTION item_sub FROM item WITH (retention = '1D')")
        session.execute("DECLARE c SUBSCRIPTION CURSOR FOR item_sub FULL")
        if fetched(session, "FETCH 10 FROM c") != [(1, 10, INSERT, None)]:
            yield "FULL does not begin with what stands"
        if fetched(session, "FETCH NEXT FROM c"):
            yield "a row comes without a change"
        for change, wanted in [
            ("INSERT INTO item VALUES (2, 20)", [(2, 20, INSERT)]),
            ("UPDATE item SET v = 21 WHERE id = 2", [(2, 20, UPDATE_DELETE), (2, 21, UPDATE_INSERT)]),
            ("DELETE FROM item WHERE id = 1", [(1, 10, DELETE)]),
        ]:
            session.execute(change)
            session.execute("FLUSH")
            rows = fetched(session, "FETCH 10 FROM c")
            if [row[:3] for row in rows] != wanted:
                yield f"{change}: {rows}"
            if not all(isinstance(row[3], int) and abs(row[3] / 1000 - time.time()) < 60 for row in rows):
                yield f"{change}: {rows} bear no time"
        session.execute("DECLARE again SUBSCRIPTION CURSOR FOR item_sub SINCE begin()")
        if [row[2] for row in fetched(session, "FETCH 100 FROM again")] != [INSERT, UPDATE_DELETE, UPDATE_INSERT, DELETE]:
            yield "SINCE begin() misses something"
        if sorted(row[0] for row in fetched(session, "SHOW SUBSCRIPTION CURSORS")) != ["again", "c"]:
            yield "SHOW SUBSCRIPTION CURSORS"
        if fetched(session, "SHOW SUBSCRIPTIONS") != [("item_sub",)]:
            yield "SHOW SUBSCRIPTIONS"
        session.execute("CLOSE c")
        for statement, state in [
            ("FETCH NEXT FROM c", "34000"),
            ("DECLARE again SUBSCRIPTION CURSOR FOR item_sub", "42P03"),
            ("DECLARE d SUBSCRIPTION CURSOR FOR none", "42P01"),
            ("DECLARE d SUBSCRIPTION CURSOR FOR item_sub SINCE 1000", "53400"),
            ("DECLARE d SUBSCRIPTION CURSOR FOR item SINCE 1000", "53400"),
            ("CREATE SUBSCRIPTION item_sub FROM item", "42P07"),
            ("CREATE SUBSCRIPTION s FROM item WITH (retention = 'long')", "42601"),
            ("DROP TABLE item", "2BP01"),
        ]:
            if refusal(session, statement) != state:
                yield f"{statement}: {refusal(session, statement)} instead of {state}"
        session.execute("DROP SUBSCRIPTION item_sub")
        if fetched(session, "SHOW SUBSCRIPTIONS"):
            yield "a dropped subscription is listed"


def waits_for_a_change(server: Server):
    with server.connect() as session, server.connect() as writer:
        session.execute("CREATE TABLE slow (id INT PRIMARY KEY)")
        session.execute("DECLARE c SUBSCRIPTION CURSOR FOR slow")
        began = time.monotonic()
        if fetched(session, "FETCH NEXT FROM c WITH (timeout = '300ms')") or time.monotonic() - began < 0.3:
            yield "it does not wait"
        later = threading.Timer(0.3, lambda: writer.execute("INSERT INTO slow VALUES (1)"))
        later.start()
        rows = fetched(session, "FETCH NEXT FROM c WITH (timeout = '20s')")
        later.join()
        if [row[:2] for row in rows] != [(1, INSERT)]:
            yield f"waiting gave {rows}"


def changes_add_up(server: Server):
    """A model that applies what cursors fetch, each going on where the one before it ended, is the table."""
    chance = random.Random(3)
    with server.connect() as session:
        session.execute("CREATE TABLE ledger (id INT PRIMARY KEY, v INT)")
        session.execute("CREATE MATERIALIZED VIEW big AS SELECT id, v FROM ledger WHERE v > 20")
        session.execute("CREATE SUBSCRIPTION big_sub FROM big")
        session.execute("DECLARE c SUBSCRIPTION CURSOR FOR big_sub FULL")
        model: set[tuple] = set()
        for _ in range(80):
            i, v = chance.randrange(30), chance.randrange(50)
            session.execute(chance.choice([
                f"INSERT INTO ledger VALUES ({i}, {v})",
                f"UPDATE ledger SET v = v + 5 WHERE id > {i}",
                f"DELETE FROM ledger WHERE id = {i}",
            ]))
            session.execute("FLUSH")
            if chance.random() < 0.5:
                continue
            while rows := fetched(session, f"FETCH {1 + chance.randrange(7)} FROM c"):
                for i, v, op, _ in rows:
                    there = (i, v) in model
                    if there == (op in (INSERT, UPDATE_INSERT)):
                        yield f"{op} of ({i}, {v}), which is {'there' if there else 'not there'}"
                    model ^= {(i, v)}
            if model != set(fetched(session, "SELECT id, v FROM big")):
                yield "the changes do not add up to the view"
                return


def rights_are_asked_for(server: Server):
    with server.connect() as root:
        root.execute("CREATE USER follower")
        root.execute("CREATE TABLE mine (id INT PRIMARY KEY)")
        with server.connect("follower") as session:
            if refusal(session, "DECLARE c SUBSCRIPTION CURSOR FOR mine") != "42501":
                yield "whoever likes may follow"
            root.execute("GRANT SELECT ON mine TO follower")
            session.execute("DECLARE c SUBSCRIPTION CURSOR FOR mine FULL")
            session.execute("FETCH NEXT FROM c")
            root.execute("REVOKE SELECT ON mine FROM follower")
            if refusal(session, "FETCH NEXT FROM c") != "42501":
                yield "a right that was taken back is still used"


def moves_on(server: Server):
    with server.connect(autocommit=False) as session:
        session.execute("DECLARE m CURSOR FOR SELECT * FROM generate_series(1, 10) AS n ORDER BY n")
        tags = [session.execute("MOVE 3 FROM m").statusmessage]
        rows = fetched(session, "FETCH 2 FROM m")
        tags += [session.execute(sql).statusmessage for sql in ("MOVE FORWARD 2 FROM m", "MOVE ALL FROM m", "MOVE NEXT FROM m")]
        if tags != ["MOVE 3", "MOVE 2", "MOVE 3", "MOVE 0"] or rows != [(4,), (5,)]:
            yield f"{tags}, {rows}"
        if refusal(session, "MOVE BACKWARD 1 FROM m") != "55000":
            yield "a cursor goes back"


def survives_a_restart():
    with tempfile.TemporaryDirectory(prefix="thalweg-subscription-") as data:
        for start in range(2):
            with Server("--data", data) as server, server.connect() as session:
                if start == 0:
                    session.execute("CREATE TABLE kept (id INT PRIMARY KEY)")
                    session.execute("CREATE SUBSCRIPTION kept_sub FROM kept")
                session.execute("DECLARE c SUBSCRIPTION CURSOR FOR kept_sub")
                session.execute(f"INSERT INTO kept VALUES ({start})")
                session.execute("FLUSH")
                if [row[:2] for row in fetched(session, "FETCH 10 FROM c")] != [(start, INSERT)]:
                    yield f"start {start}: other changes"
                if server.stop() != 0:
                    yield "the server did not end well"


def main() -> int:
    tally = Tally()
    with Server() as server:
        for check in (every_kind_of_change, waits_for_a_change, changes_add_up, rights_are_asked_for, moves_on):
            tally.run(check.__name__, lambda check=check: list(check(server)))
        tally.add("no panics", server.panics())
    tally.run(survives_a_restart.__name__, lambda: list(survives_a_restart()))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
