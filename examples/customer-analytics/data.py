"""Clicks of 400 users of a shop over six hours, by a seed: writes clicks.csv. For a while nobody can pay.

usage: data.py > clicks.csv
"""

import csv
import datetime
import random
import sys

START = datetime.datetime(2024, 3, 1, 8, 0)
# Until then the checkout is broken.
MENDED = 3 * 3600


def clicks(seed: int = 7) -> list[tuple]:
    chance = random.Random(seed)
    rows = []
    for user in range(1, 401):
        for _ in range(chance.choice([1, 1, 2])):
            at = chance.uniform(0, 6 * 3600)
            for _ in range(chance.randrange(1, 6)):
                rows.append((at, user, f"/item/{chance.randrange(12)}", "view", None))
                at += chance.uniform(5, 120)
            if chance.random() < 0.5:
                rows.append((at, user, "/cart", "cart", None))
                at += chance.uniform(5, 120)
                if chance.random() < 0.8 and at > MENDED:
                    rows.append((at, user, "/checkout", "buy", f"{chance.uniform(5, 200):.2f}"))
    rows.sort(key=lambda row: row[0])
    return [(n, START + datetime.timedelta(seconds=round(at)), *rest) for n, (at, *rest) in enumerate(rows, 1)]


def main() -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["id", "ts", "user_id", "page", "action", "amount"])
    out.writerows(clicks())


if __name__ == "__main__":
    main()
