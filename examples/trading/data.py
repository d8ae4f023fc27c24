"""Trades of three symbols and four accounts over half an hour, by a seed: writes trades.csv.

usage: data.py > trades.csv
"""

import csv
import datetime
import random
import sys

START = datetime.datetime(2024, 3, 1, 14, 30)
LIMITS = [("alpha", "ACME", 40_000), ("beta", "ACME", 60_000), ("alpha", "INIT", 30_000), ("gamma", "ZETA", 20_000)]


def trades(seed: int = 7) -> list[tuple]:
    chance = random.Random(seed)
    cents = {"ACME": 10_000, "INIT": 4_200, "ZETA": 25_000}
    rows, at = [], 0.0
    for n in range(1, 1201):
        at += chance.expovariate(1 / 1.5)
        symbol = chance.choice(list(cents))
        cents[symbol] = max(100, cents[symbol] + round(chance.gauss(0, cents[symbol] * 0.001)))
        account, side = chance.choice(["alpha", "beta", "gamma", "delta"]), chance.choice(["buy", "sell"])
        quantity = chance.randrange(1, 20)
        # One account buys too much, in the twentieth minute.
        if 600 <= n < 620:
            account, side, symbol, quantity = "alpha", "buy", "ACME", 60
        ts = START + datetime.timedelta(milliseconds=round(at * 1000))
        rows.append((n, ts, symbol, account, side, f"{cents[symbol] / 100:.2f}", quantity))
    return rows


def main() -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["id", "ts", "symbol", "account", "side", "price", "quantity"])
    out.writerows(trades())


if __name__ == "__main__":
    main()
