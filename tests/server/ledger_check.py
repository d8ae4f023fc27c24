"""Money is neither made nor lost in front of any reader: transfers between accounts, and views whose totals must agree
at every moment, while writers write through both doors.

LEDGER_SECONDS: how long writers and readers run. Prints what was read and written, and every kind of violation.
"""

import collections
import json
import random
import sys
import threading
import time

import psycopg
from harness import Server, Tally, seconds

ACCOUNTS = 50
WRITERS = READERS = 8
DURATION = seconds("LEDGER_SECONDS", 10)

SETUP = """
CREATE TABLE transfers (id BIGINT PRIMARY KEY, from_account INT, to_account INT, amount BIGINT);
CREATE TABLE legs (id BIGINT PRIMARY KEY, account INT, amount BIGINT);
CREATE TABLE together (id BIGINT PRIMARY KEY, amount BIGINT);
CREATE TABLE paid (id BIGINT PRIMARY KEY, amount BIGINT);
CREATE TABLE got (id BIGINT PRIMARY KEY, amount BIGINT);
CREATE MATERIALIZED VIEW credits AS SELECT to_account AS account, sum(amount) AS credit FROM transfers GROUP BY to_account;
CREATE MATERIALIZED VIEW debits AS SELECT from_account AS account, sum(amount) AS debit FROM transfers GROUP BY from_account;
CREATE MATERIALIZED VIEW balances AS
  SELECT c.account, c.credit - d.debit AS balance FROM credits c JOIN debits d ON c.account = d.account;
CREATE MATERIALIZED VIEW total AS SELECT sum(balance) AS total FROM balances;
CREATE MATERIALIZED VIEW legs_total AS SELECT sum(amount) AS total FROM legs;
CREATE MATERIALIZED VIEW legs_by_account AS SELECT account, sum(amount) AS amount FROM legs GROUP BY account;
CREATE MATERIALIZED VIEW paid_total AS SELECT sum(amount) AS amount, count(*) AS n FROM paid;
CREATE MATERIALIZED VIEW got_total AS SELECT sum(amount) AS amount, count(*) AS n FROM got;
CREATE VIEW both_totals AS SELECT p.amount - g.amount AS difference FROM paid_total p, got_total g;
"""

# Each of them is 0 whenever it is read.
ZEROS = {
    "the kept total": "SELECT total FROM total",
    "the sum of balances": "SELECT sum(balance) FROM balances",
    "credits against debits": "SELECT (SELECT sum(credit) FROM credits) - (SELECT sum(debit) FROM debits)",
    "credits against transfers": "SELECT (SELECT sum(credit) FROM credits) - (SELECT sum(amount) FROM transfers)",
    "balances from the table": "SELECT (SELECT sum(balance) FROM balances) - (SELECT total FROM total)",
    "two statements of a transaction": "SELECT total FROM legs_total",
    "two statements, by account": "SELECT sum(amount) FROM legs_by_account",
    "two statements, from the table": "SELECT sum(amount) FROM legs",
    "statements sent together": "SELECT sum(amount) FROM together",
    "two tables of a transaction": "SELECT difference FROM both_totals",
    "two tables, from the tables": "SELECT (SELECT sum(amount) FROM paid) - (SELECT sum(amount) FROM got)",
}

# Read one after the other in a transaction: all at one epoch.
BLOCK = (
    "SELECT sum(credit) FROM credits",
    "SELECT sum(debit) FROM debits",
    "SELECT sum(amount) FROM transfers",
    "SELECT sum(credit) FROM credits",
    "SELECT sum(amount) FROM transfers",
)


class Run:
    """What all threads count together."""

    def __init__(self) -> None:
        self.until = time.monotonic() + DURATION
        self.lock = threading.Lock()
        self.reads: collections.Counter[str] = collections.Counter()
        self.wrote: collections.Counter[str] = collections.Counter()
        self.violations: dict[str, list[str]] = collections.defaultdict(list)
        self.errors: list[str] = []

    def going(self) -> bool:
        return time.monotonic() < self.until

    def saw(self, what: str, value: object, want: object) -> None:
        with self.lock:
            self.reads[what] += 1
            if value != want:
                self.violations[what].append(f"{value}, not {want}")

    def count(self, table: str, rows: int) -> None:
        with self.lock:
            self.wrote[table] += rows

    def guard(self, work, *args: object) -> None:
        try:
            work(self, *args)
        except Exception as error:  # noqa: BLE001 - told at the end
            with self.lock:
                self.errors.append(f"{work.__name__}{args[1:]}: {type(error).__name__}: {error}")


def transfer(number: int, chance: random.Random) -> dict[str, int]:
    a, b = chance.sample(range(ACCOUNTS), 2)
    return {"id": number, "from_account": a, "to_account": b, "amount": chance.randint(1, 1000)}


def write_sql(run: Run, server: Server, who: int) -> None:
    """Transactions of several statements; now and then a transfer is corrected or taken back."""
    chance, number = random.Random(who), who * 10**9
    mine: list[int] = []
    with server.connect() as session:
        while run.going():
            made, gone = [], None
            with session.transaction():
                for _ in range(chance.randint(1, 5)):
                    number += 1
                    made.append(number)
                    session.execute("INSERT INTO transfers VALUES (%(id)s, %(from_account)s, %(to_account)s, %(amount)s)", transfer(number, chance))
                x = chance.randint(1, 1000)
                session.execute("INSERT INTO legs VALUES (%s, %s, %s)", (2 * number, chance.randrange(ACCOUNTS), x))
                session.execute("INSERT INTO paid VALUES (%s, %s)", (number, x))
                session.execute("INSERT INTO legs VALUES (%s, %s, %s)", (2 * number + 1, chance.randrange(ACCOUNTS), -x))
                session.execute("INSERT INTO got VALUES (%s, %s)", (number, x))
                if mine and chance.random() < 0.3:
                    session.execute("UPDATE transfers SET amount = amount + 7 WHERE id = %s", (chance.choice(mine),))
                if mine and chance.random() < 0.2:
                    gone = mine.pop(chance.randrange(len(mine)))
                    session.execute("DELETE FROM transfers WHERE id = %s", (gone,))
            mine += made
            # Statements sent together are one transaction, too.
            y = chance.randint(1, 1000)
            session.execute(f"INSERT INTO together VALUES ({2 * number}, {y}); INSERT INTO together VALUES ({2 * number + 1}, {-y})")
            run.count("together", 2)
            run.count("transfers", len(made) - (gone is not None))
            run.count("legs", 2)
            run.count("paid", 1)
            run.count("got", 1)


def write_http(run: Run, server: Server, who: int) -> None:
    """The rows of a request take effect together."""
    chance, number = random.Random(who), who * 10**9
    while run.going():
        rows, legs = [], []
        for _ in range(chance.randint(1, 20)):
            number += 1
            rows.append(transfer(number, chance))
            x = chance.randint(1, 1000)
            legs += [{"id": 2 * number + side, "account": chance.randrange(ACCOUNTS), "amount": sign * x} for side, sign in ((0, 1), (1, -1))]
        for table, some in (("transfers", rows), ("legs", legs)):
            status, text = server.ingest(table, some)
            if status not in (200, 202):
                raise RuntimeError(f"ingest into {table}: {status} {text[:200]}")
            run.count(table, len(some))


def read_zeros(run: Run, server: Server, who: int) -> None:
    names = list(ZEROS)
    random.Random(who).shuffle(names)
    with server.connect() as session:
        while run.going():
            for name in names:
                # Some plain, some prepared.
                value = session.execute(ZEROS[name], prepare=who % 2 == 0).fetchone()[0]
                run.saw(name, int(value), 0)


def read_http(run: Run, server: Server, who: int) -> None:
    while run.going():
        for name, query in ZEROS.items():
            status, answer = server.sql(query)
            if status != 200:
                raise RuntimeError(f"{query}: {status} {answer}")
            run.saw(name, int(answer["rows"][0][0]), 0)


def read_blocks(run: Run, server: Server, who: int) -> None:
    """All statements of a transaction see one epoch, however long it lasts."""
    chance = random.Random(who)
    with server.connect() as session:
        while run.going():
            with session.transaction():
                seen = []
                for query in BLOCK:
                    seen.append(int(session.execute(query).fetchone()[0]))
                    time.sleep(chance.random() * 0.1)
                rows = session.execute("SELECT count(*) FROM legs").fetchone()
                time.sleep(0.05)
                again = session.execute("SELECT count(*) FROM legs").fetchone()
            run.saw("a transaction's reads", len(set(seen)), 1)
            run.saw("a table counted twice in a transaction", again, rows)


def read_forward(run: Run, server: Server, who: int) -> None:
    """A session never sees an older state than it has seen."""
    last = 0
    with server.connect() as session:
        while run.going():
            for query in ("SELECT count(*) FROM legs", "SELECT 2 * n FROM paid_total"):
                count = int(session.execute(query).fetchone()[0])
                if "legs" in query:
                    run.saw("rows only become more", count >= last, True)
                    last = count


def seed(session: psycopg.Connection) -> None:
    """Every account has given and got, so that the join knows it."""
    for statement in SETUP.split(";"):
        if statement.strip():
            session.execute(statement)
    rows = ", ".join(f"({n}, {n}, {(n + 1) % ACCOUNTS}, 1)" for n in range(ACCOUNTS))
    session.execute(f"INSERT INTO transfers VALUES {rows}")
    session.execute("INSERT INTO legs VALUES (0, 0, 0)")
    session.execute("INSERT INTO together VALUES (0, 0)")
    session.execute("INSERT INTO paid VALUES (0, 0)")
    session.execute("INSERT INTO got VALUES (0, 0)")
    session.execute("FLUSH")


def settled(run: Run, session: psycopg.Connection) -> list[str]:
    """In the end every row that was acknowledged is there once."""
    session.execute("FLUSH")
    problems = []
    for table, rows in run.wrote.items():
        want = rows + (ACCOUNTS if table == "transfers" else 1)
        have = session.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if have != want:
            problems.append(f"{table}: {have} rows, {want} were acknowledged")
    for name, query in ZEROS.items():
        if (value := session.execute(query).fetchone()[0]) != 0:
            problems.append(f"{name} is {value} in the end")
    want = sorted(session.execute("SELECT a.account, a.credit - b.debit FROM (SELECT to_account AS account, sum(amount) AS credit FROM transfers GROUP BY to_account) a "
                                  "JOIN (SELECT from_account AS account, sum(amount) AS debit FROM transfers GROUP BY from_account) b ON a.account = b.account").fetchall())
    if sorted(session.execute("SELECT account, balance FROM balances").fetchall()) != want:
        problems.append("balances are not those of the transfers")
    return problems


def all_or_nothing(server: Server):
    """A transaction that fails, is rolled back or loses its client leaves nothing; statements sent together likewise."""
    problems = []

    def fails(session: psycopg.Connection, text: str) -> None:
        try:
            session.execute(text)
            problems.append(f"it works: {text}")
        except psycopg.Error:
            pass

    with server.connect() as session:
        fails(session, "INSERT INTO legs VALUES (-1, 1, 5); INSERT INTO nowhere VALUES (1)")
        fails(session, "INSERT INTO legs VALUES (-2, 1, 5); SELECT 1 / (SELECT count(*) FROM legs WHERE id = -99)")
        session.execute("BEGIN")
        session.execute("INSERT INTO legs VALUES (-3, 1, 5)")
        fails(session, "SELECT * FROM nowhere")
        session.execute("COMMIT")
        session.execute("BEGIN")
        session.execute("INSERT INTO legs VALUES (-4, 1, 5)")
        session.execute("ROLLBACK")
        gone = server.connect()
        gone.execute("BEGIN")
        gone.execute("INSERT INTO legs VALUES (-5, 1, 5)")
        gone.close()
        status, text = server.ingest("legs", [{"id": -6, "account": 1, "amount": 5}, {"id": -7, "account": "x", "amount": "y"}])
        session.execute("FLUSH")
        left = [row[0] for row in session.execute("SELECT id FROM legs WHERE id < 0").fetchall()]
    # What ingest makes of a bad row among good ones is its own to say; it has to be what it has said.
    said = json.loads(text)
    if -6 in left and status not in (200, 202, 207):
        problems.append(f"ingest says {status} {said}, and keeps a row")
    return problems + [f"row {n} is there" for n in left if n != -6]


def main() -> int:
    tally = Tally()
    with Server() as server, server.connect() as root:
        seed(root)
        run = Run()
        jobs = [(write_sql, n) for n in range(1, WRITERS // 2 + 1)] + [(write_http, n) for n in range(101, 101 + WRITERS // 2)]
        jobs += [(read_zeros, n) for n in range(READERS - 4)] + [(read_http, 1), (read_blocks, 1), (read_blocks, 2), (read_forward, 1)]
        threads = [threading.Thread(target=run.guard, args=(work, server, who), daemon=True) for work, who in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DURATION + 60)
        tally.add("every writer and reader comes to its end", run.errors + [f"{t.name} hangs" for t in threads if t.is_alive()])
        names = [*ZEROS, "a transaction's reads", "a table counted twice in a transaction", "rows only become more"]
        for name in names:
            wrong = run.violations.get(name, [])
            report = [f"{len(wrong)} of {run.reads[name]} reads: {', '.join(wrong[:5])}"] if wrong else []
            tally.add(f"ledger: {name}", report or ([] if run.reads[name] else ["it was never read"]))
        tally.run("ledger: what was acknowledged is there", settled, run, root)
        tally.run("all or nothing", all_or_nothing, server)
        tally.add("no panic", server.panics())
        violations = sum(map(len, run.violations.values()))
        print(f"{sum(run.reads.values())} reads, {sum(run.wrote.values())} rows written in {DURATION:.0f} s, {violations} violations")
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
