"""Readings of 12 devices over 50 minutes, by a seed: writes readings.csv. Some pause, two spike, one gets hot at the end.

usage: data.py > readings.csv
"""

import csv
import datetime
import random
import sys

START = datetime.datetime(2024, 3, 1, 6, 0)
DEVICES = [(f"pump-{n:02}", ["north", "south", "harbour"][n % 3], 53.5 + n / 100, 9.9 + n / 50) for n in range(12)]
SPIKES = {("pump-04", 1500), ("pump-09", 2100)}
HOT, HOT_FROM = "pump-07", 2900


def readings(seed: int = 7) -> list[tuple]:
    chance = random.Random(seed)
    rows = []
    for n, (device, *_) in enumerate(DEVICES):
        usual = chance.uniform(40, 60)
        for second in range(n, 3000, 15):
            # Every third device rests for ten minutes.
            if n % 3 == 0 and 1200 <= second < 1800:
                continue
            temperature = usual + chance.gauss(0, 0.5)
            if (device, second - n) in SPIKES:
                temperature += 25
            if device == HOT and second >= HOT_FROM:
                temperature = 85 + chance.random()
            ts = START + datetime.timedelta(seconds=second)
            rows.append((device, ts, round(temperature, 2), 100 - second // 60))
    # As they arrive: up to 20 seconds late, in no order.
    order = {id(row): row[1].timestamp() + chance.uniform(0, 20) for row in rows}
    return sorted(rows, key=lambda row: order[id(row)])


def main() -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["device", "ts", "temperature", "battery"])
    out.writerows(readings())


if __name__ == "__main__":
    main()
