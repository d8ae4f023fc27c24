"""Security: what was tailed from the log beside the same lines read by Python; blocking an address ends its incident."""

import collections
import datetime
import pathlib
import re

from common import Example, data_of

LOGIN = re.compile(r"(\S+) .* sshd\[\d+\]: (Failed|Accepted) password for (\w+) from (\S+) ")
DROP = re.compile(r"(\S+) .* kernel: DROP SRC=(\S+) .*DPT=(\d+)")


def check(server, folder: str) -> list[str]:
    lines = data_of("security").lines()
    logs = pathlib.Path(folder) / "logs"
    logs.mkdir()
    half = len(lines) // 3
    log = logs / "gateway.log"
    log.write_text("\n".join(lines[:half]) + "\n")
    example = Example("security", server, LOGS=str(logs))
    with log.open("a") as tail:
        tail.write("\n".join(lines[half:]) + "\n")

    logins = [(stamp(at), address, user, done == "Accepted") for at, done, user, address in read(LOGIN, lines)]
    drops = [(stamp(at), address, int(port)) for at, address, port in read(DROP, lines)]
    example.same("logins", "ts, address, username, accepted", logins)
    example.same("drops", "ts, address, port", drops)
    failed, ports = collections.defaultdict(list), collections.defaultdict(set)
    [failed[address, at.replace(second=0)].append(user) for at, address, user, accepted in logins if not accepted]
    [ports[address, at.replace(second=0)].add(port) for at, address, port in drops]
    welcome = {address for _, address, _, accepted in logins if accepted}
    guessed = [(a, m, len(of), len(set(of)), a in welcome) for (a, m), of in failed.items() if len(of) >= 10]
    scanned = [(a, m, len(of)) for (a, m), of in ports.items() if len(of) >= 20]
    example.same("brute_force", "address, minute, failures, usernames, got_in", guessed)
    example.same("port_scans", "address, minute, ports", scanned)
    incidents = collections.defaultdict(list)
    [incidents[a, "brute force"].append((m, n)) for a, m, n, *_ in guessed]
    [incidents[a, "port scan"].append((m, n)) for a, m, n in scanned]
    expected = [(*key, min(m for m, _ in of), sum(n for _, n in of)) for key, of in incidents.items()]
    example.same("incidents", "address, kind, since, tries", expected)
    names = {", ".join(key) for key in incidents}
    if names != {"198.51.100.7, brute force", "198.51.100.99, brute force", "203.0.113.9, port scan"}:
        example.problems.append(f"the data do not tell the story: {names}")
    example.alert("intruder", names)
    example.dashboard("security", 4)
    example.session.execute("INSERT INTO blocked VALUES ('203.0.113.9', 'port scan')")
    example.alert("intruder", names - {"203.0.113.9, port scan"})
    example.resolved("intruder", "203.0.113.9, port scan")
    return example.problems


def read(pattern: re.Pattern, lines: list[str]) -> list[tuple]:
    return [found.groups() for line in lines if (found := pattern.match(line))]


def stamp(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.removesuffix("Z"))
