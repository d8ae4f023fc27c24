"""Checks the checker: what compares equal, and that every kind of difference is seen."""

import sys

import compare
import engine

# What is wrong, got, want, whether they agree.
CASES = [
    ("order does not count", "SELECT 1 AS a UNION ALL SELECT 2", "SELECT 2 AS a UNION ALL SELECT 1", True),
    ("widths do not count", "SELECT 1::INTEGER AS a", "SELECT 1::HUGEINT AS a", True),
    ("scales do not count", "SELECT 1.50::DECIMAL(9, 2) AS a", "SELECT 1.5::DECIMAL(4, 1) AS a", True),
    ("a numeric average and a float one", "SELECT 1 AS k, 0.333333333333 AS a", "SELECT 1 AS k, 1 / 3 AS a", True),
    ("a day as text or date", "SELECT '2026-01-01' AS a", "SELECT DATE '2026-01-01' AS a", True),
    ("nulls are equal", "SELECT NULL::DOUBLE AS a", "SELECT NULL::DOUBLE AS a", True),
    ("a row is missing", "SELECT 1 AS a", "SELECT 1 AS a UNION ALL SELECT 1", False),
    ("a value differs", "SELECT 1 AS a, 'x' AS b", "SELECT 1 AS a, 'y' AS b", False),
    ("values are swapped between columns", "SELECT 1 AS a, 2 AS b", "SELECT 2 AS a, 1 AS b", False),
    ("an average differs", "SELECT 1 AS k, 0.3334 AS a", "SELECT 1 AS k, 1 / 3 AS a", False),
    ("averages are swapped between rows", "VALUES (1, 2.5e0), (2, 1.5e0)", "VALUES (1, 1.5e0), (2, 2.5e0)", False),
    ("null is not zero", "SELECT NULL::DOUBLE AS a", "SELECT 0e0 AS a", False),
    ("a null among values", "SELECT NULL::VARCHAR AS a", "SELECT '' AS a", False),
    ("a column is renamed", "SELECT 1 AS a", "SELECT 1 AS b", False),
    ("columns are in another order", "SELECT 1 AS a, 1 AS b", "SELECT 1 AS b, 1 AS a", False),
    ("text is not a number", "SELECT '1' AS a", "SELECT 1 AS a", False),
    ("times differ by a microsecond", "SELECT TIMESTAMP '2026-01-01 00:00:00.000001' AS a", "SELECT TIMESTAMP '2026-01-01' AS a", False),
]  # fmt: skip


def main() -> int:
    db = compare.connect()
    tally = engine.Tally()
    for name, got, want, agree in CASES:
        problems = compare.compare(db, f"({got})", f"({want})")
        tally.add(name, [] if agree == (not problems) else [f"agree: {agree}", *problems])
    ignored = compare.compare(db, "(SELECT 1 AS a, 2 AS b)", "(SELECT 1 AS a, 3 AS b)", {"b"})
    tally.add("an ignored column", ignored)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
