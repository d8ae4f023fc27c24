"""What the checks of examples share: an example loaded into a server, and the comparison of rows."""

import importlib.util
import io
import math
import pathlib
import statistics
import sys
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "server"))

from harness import Server, eventually  # noqa: E402


def data_of(name: str) -> types.ModuleType:
    """The example's data.py."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / "examples" / name / "data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Example:
    """An example in a server. Problems are collected, so that one run tells of all."""

    def __init__(self, name: str, server: Server, **variables: str) -> None:
        self.name, self.problems = name, []
        self.session = server.connect()
        text = (ROOT / "examples" / name / f"{name}.sql").read_text()
        for key, value in variables.items():
            text = text.replace("${" + key + "}", value)
        self.session.execute(text)

    def rows(self, sql: str) -> list[tuple]:
        return self.session.execute(sql).fetchall()

    def copy(self, table: str, rows: list[tuple]) -> None:
        """Rows by COPY, as `\\copy` has it; they are in the views when this returns."""
        out = io.StringIO()
        for row in rows:
            out.write(",".join("" if cell is None else str(cell) for cell in row) + "\n")
        with self.session.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
            copy.write(out.getvalue())
        self.session.execute("FLUSH")

    def same(self, view: str, columns: str, expected: list[tuple]) -> None:
        """The view has these rows, in any order; numbers may differ in the tenth digit."""
        order = lambda row: tuple((cell is None, str(cell)) for cell in row if not isinstance(cell, float))  # noqa: E731
        wanted = sorted(expected, key=order)
        found: list[tuple] = []

        def is_there() -> bool:
            found[:] = sorted(self.rows(f"SELECT {columns} FROM {view}"), key=order)
            return len(found) == len(wanted) and all(map(near, found, wanted))

        if not wanted:
            self.problems.append(f"{view}: nothing is expected of it")
        if not eventually(is_there, 20):
            differ = [(f, w) for f, w in zip(found, wanted) if not near(f, w)][:3]
            self.problems.append(f"{view}: {len(found)} rows, {len(wanted)} expected; found and expected: {differ or found[:5]}")

    def alert(self, name: str, firing: set[str]) -> None:
        """Just these instances of the alert fire."""
        sql = f"SELECT instance FROM thalweg_catalog.alert_instances WHERE name = '{name}' AND state = 'firing'"
        if not eventually(lambda: {row[0] for row in self.rows(sql)} == firing, 20):
            self.problems.append(f"alert {name}: {self.rows(sql)} fire, {firing} should")

    def resolved(self, name: str, instance: str) -> None:
        """The alert fired for this instance, and then it was over."""
        sql = f"SELECT transition FROM thalweg_catalog.alert_history WHERE name = '{name}' AND instance = '{instance}' ORDER BY at"
        if not eventually(lambda: [row[0] for row in self.rows(sql)][-2:] == ["firing", "resolved"], 20):
            self.problems.append(f"alert {name} of {instance}: {self.rows(sql)}")

    def dashboard(self, name: str, panels: int) -> None:
        """It is listed, and each panel has rows."""
        listed = self.rows(
            "SELECT p.name, p.query FROM thalweg_catalog.dashboard_panels AS p "
            f"JOIN thalweg_catalog.dashboards AS d ON d.id = p.dashboard WHERE d.name = '{name}'"
        )
        if len(listed) != panels:
            self.problems.append(f"dashboard {name} has {len(listed)} panels, not {panels}")
        self.problems += [f"panel {panel} has no rows" for panel, query in listed if not self.rows(query)]


def near(found: tuple, wanted: tuple) -> bool:
    """Whether two rows are the same, numbers as good as."""

    def is_near(a: object, b: object) -> bool:
        if a is None or b is None or isinstance(a, str) or isinstance(b, str):
            return a == b
        if hasattr(a, "year"):
            return a == b
        return math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-9)

    return len(found) == len(wanted) and all(map(is_near, found, wanted))


def robust_scores(values: list[float], window: int, warm_up: int = 20) -> list[float | None]:
    """The robust z-score of each value beside those before it, by its definition in docs/anomaly.md."""
    scores: list[float | None] = []
    for i, value in enumerate(values):
        before = values[max(0, i - window) : i]
        if len(before) < min(warm_up, window):
            scores.append(None)
            continue
        middle = statistics.median(before)
        distances = [abs(v - middle) for v in before]
        spread = 1.482602218505602 * statistics.median(distances) or 1.2533 * statistics.fmean(distances)
        scores.append(min(1e9, abs(value - middle) / spread) if spread else 0.0 if value == middle else 1e9)
    return scores


def sessions(times: list, gap) -> list[tuple]:
    """Spans of sorted times that are at most `gap` apart: first, last + gap, how many."""
    spans: list[list] = []
    for at in times:
        if spans and at - spans[-1][1] <= gap:
            spans[-1][1] = at
            spans[-1][2] += 1
        else:
            spans.append([at, at, 1])
    return [(first, last + gap, n) for first, last, n in spans]
