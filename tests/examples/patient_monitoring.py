"""Patient monitoring: readings arrive late; those within the bound count in their minute, later ones nowhere."""

import collections
import datetime
import statistics

from common import Example, data_of

# Arrivals that come together, in seconds: the watermark moves between them.
TOGETHER = 30
# How late a reading may be, as the example declares it.
BOUND = datetime.timedelta(seconds=30)


def check(server, _folder: str) -> list[str]:
    data = data_of("patient-monitoring")
    example = Example("patient-monitoring", server)
    example.copy("patients", data.PATIENTS)
    arrivals = data.vitals()
    groups = collections.defaultdict(list)
    [groups[int(at // TOGETHER)].append(row) for at, row in arrivals]
    in_time, watermark = [], datetime.datetime.min
    for group in sorted(groups):
        in_time += [row for row in groups[group] if row[1] >= watermark]
        watermark = max(watermark, max(row[1] for row in groups[group]) - BOUND)
    if len(arrivals) - len(in_time) < 5:
        example.problems.append("the data do not tell the story: nothing is too late")
    worst = (data.ILL_TO - 30) // TOGETHER
    for group in sorted(groups):
        example.copy("vitals", groups[group])
        if group == worst:
            example.alert("urgent", {data.ILL})
    # Later readings of all: every minute before is over.
    end = data.START + datetime.timedelta(hours=1)
    example.copy("vitals", [(patient, end, 72, 98, 15, 122) for patient, *_ in data.PATIENTS])

    minutes = collections.defaultdict(list)
    [minutes[row[0], row[1].replace(second=0)].append(row) for row in in_time]
    expected = []
    for (patient, minute), rows in minutes.items():
        heart, breaths, pressure = (statistics.fmean(row[i] for row in rows) for i in (2, 4, 5))
        expected.append((patient, minute, len(rows), heart, min(row[3] for row in rows), breaths, pressure))
    example.same("minutes", "patient, minute, readings, heart_rate, oxygen, breaths, systolic", expected)
    scored = [(patient, minute, score(heart, oxygen, breaths, pressure)) for patient, minute, _, heart, oxygen, breaths, pressure in expected]
    example.same("scores", "patient, minute, score", scored)
    last = {}
    for patient, minute, points in sorted(scored, key=lambda row: row[1]):
        last[patient] = (minute, points)
    beds = {patient: (ward, bed) for patient, ward, bed in data.PATIENTS}
    example.same("now_in_bed", "patient, ward, bed, minute, score", [(p, *beds[p], *last[p]) for p in last])
    example.alert("urgent", set())
    example.resolved("urgent", data.ILL)
    example.dashboard("patient_monitoring", 4)
    return example.problems


def score(heart: float, oxygen: float, breaths: float, pressure: float) -> int:
    """The bands of the score, as the Royal College's chart has them."""
    points = 3 if breaths <= 8 or breaths >= 25 else 2 if breaths >= 21 else 1 if breaths <= 11 else 0
    points += 3 if oxygen <= 91 else 2 if oxygen <= 93 else 1 if oxygen <= 95 else 0
    points += 3 if pressure <= 90 or pressure >= 220 else 2 if pressure <= 100 else 1 if pressure <= 110 else 0
    points += 3 if heart <= 40 or heart >= 131 else 2 if heart >= 111 else 1 if heart <= 50 or heart >= 91 else 0
    return points
