"""Vital signs of eight patients over twenty minutes, by a seed: writes vitals.csv. One gets worse, and better again.

usage: data.py > vitals.csv
"""

import csv
import datetime
import random
import sys

START = datetime.datetime(2024, 3, 1, 2, 0)
PATIENTS = [(f"p{n}", "ABC"[n % 3], n) for n in range(1, 9)]
ILL, ILL_FROM, ILL_TO = "p5", 600, 900
# How late a reading may be, in seconds, and the few that are too late.
LATE, TOO_LATE = 25, 90


def vitals(seed: int = 7) -> list[tuple[float, tuple]]:
    """When each arrives, in seconds, and the reading; in the order of arrival."""
    chance = random.Random(seed)
    arrivals = []
    for patient, *_ in PATIENTS:
        for second in range(0, 1200, 5):
            ill = patient == ILL and ILL_FROM <= second < ILL_TO
            signs = (135, 89, 26, 95) if ill else (72, 98, 15, 122)
            signs = [round(sign + chance.uniform(-1.4, 1.4)) for sign in signs]
            late = chance.uniform(0, LATE) + (TOO_LATE if chance.random() < 0.01 else 0)
            arrivals.append((second + late, (patient, START + datetime.timedelta(seconds=second), *signs)))
    return sorted(arrivals, key=lambda arrival: arrival[0])


def main() -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["patient", "ts", "heart_rate", "oxygen", "breaths", "systolic"])
    out.writerows(row for _, row in vitals())


if __name__ == "__main__":
    main()
