"""Payments of 40 cards over two hours, by a seed: writes payments.csv. Three cards are used by thieves.

usage: data.py > payments.csv
"""

import csv
import datetime
import random
import sys

START = datetime.datetime(2024, 3, 1, 9, 0)
CITIES = {"Lyon": (45.76, 4.84), "Paris": (48.86, 2.35), "Lille": (50.63, 3.06), "Nice": (43.70, 7.27)}
FAR = (40.71, -74.01)


def payments(seed: int = 7) -> list[tuple]:
    chance = random.Random(seed)
    rows = []

    def pay(card: str, at: float, amount: float, place: tuple[float, float], merchant: str) -> None:
        near = (place[0] + chance.uniform(-0.02, 0.02), place[1] + chance.uniform(-0.02, 0.02))
        rows.append((card, at, round(amount, 2), round(near[0], 4), round(near[1], 4), merchant))

    for n in range(40):
        card, home, usual = f"card-{n:02}", CITIES[list(CITIES)[n % 4]], chance.uniform(10, 60)
        at = chance.uniform(0, 120)
        while at < 7200:
            pay(card, at, usual * chance.uniform(0.8, 1.25), home, chance.choice(["bakery", "fuel", "books", "market"]))
            at += chance.uniform(90, 240)
    # Stolen: used far away at once, in a hurry, for much.
    for card, at in [("card-03", 5000), ("card-17", 5600)]:
        for i in range(8):
            pay(card, at + i * 4, 900 + 10 * i, FAR, "electronics")
    # Only in a hurry: one rule alone opens no case.
    for i in range(7):
        pay("card-22", 6000 + i * 3, 30, CITIES["Lille"], "vending")
    rows.sort(key=lambda row: (row[1], row[0]))
    stamped = []
    for n, (card, at, *rest) in enumerate(rows, 1):
        stamped.append((n, card, START + datetime.timedelta(seconds=round(at)), *rest))
    return stamped


def main() -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["id", "card", "ts", "amount", "lat", "lon", "merchant"])
    out.writerows(payments())


if __name__ == "__main__":
    main()
