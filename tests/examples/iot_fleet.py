"""IoT fleet: times of use, anomalies and the last readings beside their definitions; a device is too hot, and cools down."""

import collections
import datetime
import statistics

from common import Example, data_of, robust_scores, sessions


def check(server, _folder: str) -> list[str]:
    data = data_of("iot-fleet")
    example = Example("iot-fleet", server)
    example.copy("devices", data.DEVICES)
    readings = data.readings()
    # An hour later one device is there again: all before is final.
    readings.append(("pump-00", data.START + datetime.timedelta(hours=2), 45.0, 40))
    half = len(readings) // 2
    example.copy("readings", readings[:half])
    example.copy("readings", readings[half:])
    by_device = collections.defaultdict(list)
    [by_device[r[0]].append(r[1:]) for r in sorted(readings, key=lambda r: r[1])]

    gap = datetime.timedelta(minutes=5)
    used = [(device, *span) for device, mine in by_device.items() for span in sessions([r[0] for r in mine], gap)]
    example.same("sessions", "device, began, ended, readings", used)
    odd = [
        (device, r[0], score)
        for device, mine in by_device.items()
        for r, score in zip(mine, robust_scores([r[1] for r in mine], 60))
        if score is not None and score >= 10
    ]
    planted = {(device, data.START + datetime.timedelta(seconds=second)) for device, second in spiked(data)}
    if not planted <= {row[:2] for row in odd}:
        example.problems.append(f"the data do not tell the story: {planted} are not all among {odd}")
    example.same("anomalies", "device, ts, score", odd)
    sites = {device: site for device, site, *_ in data.DEVICES}
    last = {device: mine[-1] for device, mine in by_device.items()}
    example.same("latest", "device, site, ts, temperature, battery", [(d, sites[d], *r) for d, r in last.items()])
    minutes = collections.defaultdict(list)
    [minutes[sites[r[0]], r[1].replace(second=0)].append(r) for r in readings]
    averages = [(*key, statistics.fmean(r[2] for r in of), len({r[0] for r in of})) for key, of in minutes.items()]
    example.same("by_minute", "site, minute, temperature, devices", averages)

    example.alert("overheated", {data.HOT})
    example.dashboard("iot_fleet", 4)
    example.copy("readings", [(data.HOT, data.START + datetime.timedelta(hours=2, minutes=1), 50.0, 39)])
    example.alert("overheated", set())
    example.resolved("overheated", data.HOT)
    return example.problems


def spiked(data) -> set[tuple[str, int]]:
    """The readings that were made to spike: a device's first reading is at its number's second."""
    return {(device, second + int(device[-2:])) for device, second in data.SPIKES}
