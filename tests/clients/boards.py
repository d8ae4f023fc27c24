"""Grafana's boards as its PostgreSQL plugin runs them: panels, variables, and the macros that become SQL.

After `pkg/tsdb/grafana-postgresql-datasource/macros.go` and
`public/app/plugins/datasource/grafana-postgresql-datasource`
of grafana/grafana: first `$__interval`, then each `$name(arguments)` up to the first closing bracket.
"""

import datetime
import json
import pathlib
import re
from dataclasses import dataclass, field

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "grafana"
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def board(name: str) -> dict:
    return json.loads((FOLDER / "dashboards" / f"{name}.json").read_text())


def panels(of: dict) -> list[dict]:
    """Those that ask for something, also from inside folded rows."""
    nested = [inner for panel in of["panels"] for inner in [panel, *panel.get("panels", [])]]
    return [panel for panel in nested if panel["type"] not in ("row", "text")]


def seconds_of(interval: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", interval.strip().strip("'")).groups()
    return int(number) * SECONDS[unit]


def number(value: float) -> str:
    """As Go's %v prints a float: 5, not 5.0."""
    return f"{value:g}"


@dataclass
class Range:
    """What the time picker says, and the interval that the width of a panel gives."""

    start: datetime.datetime
    end: datetime.datetime
    interval: str = "5s"
    filled: list = field(default_factory=list)

    @staticmethod
    def last(minutes: float, interval: str = "5s") -> "Range":
        now = datetime.datetime.now(datetime.timezone.utc)
        return Range(now - datetime.timedelta(minutes=minutes), now + datetime.timedelta(seconds=30), interval)

    def quoted(self, moment: datetime.datetime) -> str:
        # RFC 3339 with as many digits as there are, as Go writes it.
        text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
        return f"'{text}Z'"

    def macro(self, name: str, arguments: list[str]) -> str:
        column = arguments[0]
        start, end = int(self.start.timestamp()), int(self.end.timestamp())
        if name.endswith("Alias"):
            return self.macro(name.removesuffix("Alias"), arguments) + ' AS "time"'
        match name:
            case "__time":
                return f'{column} AS "time"'
            case "__timeEpoch":
                return f'extract(epoch from {column}) as "time"'
            case "__timeFilter":
                return f"{column} BETWEEN {self.quoted(self.start)} AND {self.quoted(self.end)}"
            case "__timeFrom":
                return self.quoted(self.start)
            case "__timeTo":
                return self.quoted(self.end)
            case "__timeGroup" | "__unixEpochGroup":
                size = number(seconds_of(arguments[1]))
                # A third argument fills gaps after the query has run.
                self.filled += arguments[2:]
                inner = f"extract(epoch from {column})" if name == "__timeGroup" else f"({column})"
                return f"floor({inner}/{size})*{size}"
            case "__unixEpochFilter":
                return f"{column} >= {start} AND {column} <= {end}"
            case "__unixEpochNanoFilter":
                return f"{column} >= {start * 10**9} AND {column} <= {end * 10**9}"
            case "__unixEpochNanoFrom":
                return str(start * 10**9)
            case "__unixEpochNanoTo":
                return str(end * 10**9)
        raise AssertionError(f"unknown macro {name!r}")

    def expand(self, sql: str) -> str:
        sql = sql.replace("$__interval_ms", number(seconds_of(self.interval) * 1000)).replace(
            "$__interval", self.interval
        )
        sql = sql.replace("$__unixEpochFrom()", str(int(self.start.timestamp())))
        sql = sql.replace("$__unixEpochTo()", str(int(self.end.timestamp())))

        def one(found: re.Match) -> str:
            name, arguments = found[1], [a.strip(" ") for a in found[2].split(",")]
            if name == "__timeGroup" and sql[sql.index(found[0]) + len(found[0]) :].startswith(","):
                name = "__timeGroupAlias"
            return self.macro(name, arguments)

        return re.sub(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)", one, sql)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def fill_in(sql: str, values: dict[str, list[str]]) -> str:
    """`${name:sqlstring}` and `${name:csv}`, and `$name` as the plugin writes a variable with several values."""

    def one(found: re.Match) -> str:
        name, form = found[1] or found[3], found[2]
        if name not in values:
            return found[0]
        chosen = values[name]
        return ",".join(chosen) if form in ("csv", "raw") else ",".join(literal(value) for value in chosen)

    return re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$(?!__)(\w+)", one, sql)


def variables(of: dict, ask) -> dict[str, list[str]]:
    """Every value of each variable, as a board with "All" chosen has them; `ask` runs a query and gives its rows."""
    values: dict[str, list[str]] = {}
    for variable in of["templating"]["list"]:
        names, rows = ask(fill_in(variable["query"], values))
        at = names.index("__value") if "__value" in names else 0
        values[variable["name"]] = [str(row[at]) for row in rows]
    return values
