"""Measures the anomaly functions beside river's nearest detectors, on the same labelled series, and prints a table.

Series: generated ones with planted anomalies (by --seeds), and two real ones that ship inside wheels: UCR 135, the
blood pressure of a patient with an internal bleeding (Wu and Keogh 2021, in aeon), and Statlog Shuttle (UCI, CC BY 4.0,
in river).

An alarm is a run of rows that reach the threshold, with gaps up to the case's `join`. A labelled anomaly is a run of
rows too, `late` rows longer where a detector needs rows to see it. An alarm that touches an anomaly is right. Precision
is the share of alarms that are right, recall the share of anomalies that are touched. `best F1` is at the threshold that
is best for the series in hindsight; it compares scores, not thresholds. Rows a second are of one core's time: river's in
this process, ours of scoring alone with --example, of everything from CSV to CSV with --thalweg.

usage: anomaly.py (--thalweg BINARY | --example BINARY) [--seeds 1001,…] [--cases NAME,…] [--sweep NAME=1,2 …] [--docs]
The first runs SQL; the second crates/analysis/examples/score.rs. `pip install --no-deps -r scripts/anomaly-requirements.txt`
"""

import argparse
import dataclasses
import importlib.util
import itertools
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from river import anomaly, drift, preprocessing, time_series

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "anomaly.md"
START, END = "<!-- anomaly: start -->", "<!-- anomaly: end -->"
STEP_SECONDS = 60

Scores = np.ndarray


# ---------------------------------------------------------------- series


@dataclasses.dataclass
class Case:
    """A labelled series: `frame` has key, ts and inputs, in event-time order; NaN labels nothing."""

    name: str
    frame: pd.DataFrame
    labels: np.ndarray
    join: int = 10
    late: int = 0
    period: int | None = None

    @property
    def inputs(self) -> list[str]:
        return [c for c in self.frame.columns if c not in ("key", "ts")]


def framed(columns: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    ts = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows) * STEP_SECONDS, unit="s")
    return pd.DataFrame({"key": "a", "ts": ts, **columns})


def spikes(rng: np.random.Generator) -> Case:
    """A level that wanders slowly, noise with heavier tails than normal, and lone spikes of 6 to 12 sigmas."""
    rows = 5000
    x = 50 + np.cumsum(rng.normal(0, 0.02, rows)) + rng.standard_t(8, rows)
    labels = np.zeros(rows, bool)
    at = rng.choice(np.arange(200, rows), 40, replace=False)
    x[at] += rng.uniform(6, 12, 40) * rng.choice([-1, 1], 40)
    labels[at] = True
    return Case("spikes", framed({"x": x}), labels, join=0)


def bumps(rng: np.random.Generator) -> Case:
    """Normal noise in which 15 to 40 rows lie 1.5 to 2.5 sigmas beside the level: no single row is unusual."""
    rows = 8000
    x = rng.normal(20, 3, rows)
    labels = np.zeros(rows, bool)
    for start in range(500, rows - 100, 400):
        start += int(rng.integers(0, 200))
        length = int(rng.integers(15, 40))
        x[start : start + length] += 3 * rng.uniform(1.5, 2.5) * rng.choice([-1, 1])
        labels[start : start + length] = True
    return Case("bumps", framed({"x": x}), labels, late=10)


def shifts(rng: np.random.Generator) -> Case:
    """A level that jumps by 1 to 3 sigmas for good, every 400 to 900 rows; a spike now and then is none."""
    x, starts, level = [], [], 0.0
    for part in range(20):
        if part:
            starts.append(len(x))
            level += rng.uniform(1, 3) * rng.choice([-1, 1])
        x.extend(rng.normal(level, 1, int(rng.integers(400, 900))))
    x = np.array(x)
    x[rng.choice(len(x), 10, replace=False)] += 15
    labels = np.zeros(len(x), bool)
    labels[starts] = True
    return Case("shifts", framed({"x": x}), labels, late=60)


def season(rng: np.random.Generator) -> Case:
    """Days of 96 rows with a busy morning and a weaker evening, a trend, and three kinds of breaks: a value of another
    hour, a morning that does not come, an evening that is too busy."""
    rows, day = 96 * 80, 96
    hour = np.arange(rows) % day / 4
    morning = np.exp(-((hour - 8) ** 2) / 2)
    evening = 0.6 * np.exp(-((hour - 18) ** 2) / 6)
    x = 100 + 0.002 * np.arange(rows) + 60 * (morning + evening) + rng.normal(0, 2, rows)
    labels = np.zeros(rows, bool)
    for d in range(6, 80, 3):
        kind = (d // 3) % 3
        if kind == 0:
            at = d * day + int(rng.choice([8, 9, 10, 60, 90]))
            x[at : at + 1] += rng.uniform(18, 35)
            labels[at] = True
        else:
            part = slice(d * day + 28, d * day + 37) if kind == 1 else slice(d * day + 68, d * day + 78)
            x[part] += -40 if kind == 1 else 25
            labels[part] = True
    return Case("season", framed({"x": x}), labels, period=day)


def joint(rng: np.random.Generator) -> Case:
    """Three columns that go together, and rows in which they do not, though each value alone is usual."""
    rows = 8000
    state = rng.choice([-2.0, 0.5, 2.0], rows)
    a = state + rng.normal(0, 0.3, rows)
    b, c = 3 * state + rng.normal(0, 0.5, rows), -state + rng.normal(0, 0.4, rows)
    labels = np.zeros(rows, bool)
    outer = np.flatnonzero(np.abs(state[600:]) == 2) + 600
    at = rng.choice(outer, 60, replace=False)
    b[at] = -3 * state[at] + rng.normal(0, 0.5, 60)
    labels[at] = True
    return Case("joint", framed({"a": a, "b": b, "c": c}), labels, join=0)


def packaged(package: str, path: str) -> pathlib.Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed: pip install --no-deps -r scripts/anomaly-requirements.txt")
    return pathlib.Path(spec.origin).parent / path


def ucr_bleeding() -> Case:
    """UCR 135; the period is the first peak of the autocorrelation of the part that its authors give for training."""
    folder = packaged("aeon", "datasets/data/KDD-TSAD_135")
    whole = pd.read_csv(next(folder.glob("*_TEST.csv")))
    train = pd.read_csv(next(folder.glob("*_TRAIN.csv")))["value"].to_numpy()
    centred = train - train.mean()
    correlation = np.correlate(centred, centred, "full")[len(centred) - 1 :]
    below = int(np.argmax(correlation < 0))
    period = below + int(np.argmax(correlation[below : len(centred) // 2]))
    case = Case("UCR 135 (real)", framed({"x": whole["value"].to_numpy()}), whole["is_anomaly"].to_numpy() == 1)
    # As the archive is scored: an alarm within 100 rows of the anomaly is right.
    case.late, case.period = 100, period
    return case


def shuttle() -> Case:
    whole = pd.read_csv(packaged("river", "datasets/shuttle.csv.gz"))
    columns = {c: whole[c].to_numpy(float) for c in whole.columns if c != "anomaly"}
    return Case("Shuttle (real)", framed(columns), whole["anomaly"].to_numpy() == 1, join=0)


GENERATORS = {f.__name__: f for f in (spikes, bumps, shifts, season, joint)}
REAL = {"ucr": ucr_bleeding, "shuttle": shuttle}


# ---------------------------------------------------------------- ours


class Sql:
    """The functions as they are called in SQL."""

    def __init__(self, binary: str) -> None:
        self.binary = binary

    def score(self, function: str, parameters: dict[str, float], frame: pd.DataFrame) -> tuple[Scores, float]:
        """One score a row (NaN for NULL), and the CPU seconds of the whole process, reading and writing CSV too."""
        inputs = [c for c in frame.columns if c not in ("key", "ts")]
        arguments = ", ".join([*inputs, *(str(v) for v in parameters.values())])
        with tempfile.TemporaryDirectory() as folder:
            rows, scored, script = (pathlib.Path(folder) / n for n in ("rows.csv", "scores.csv", "score.sql"))
            numbered = frame.assign(id=np.arange(len(frame)))
            numbered.to_csv(rows, index=False, date_format="%Y-%m-%d %H:%M:%S.%f")
            columns = ", ".join(f"{c} DOUBLE PRECISION" for c in inputs)
            script.write_text(f"""
CREATE SOURCE rows (key VARCHAR, ts TIMESTAMP, {columns}, id BIGINT, WATERMARK FOR ts AS ts)
WITH (connector = 'file', path = '{rows}');
CREATE SINK scores AS
SELECT id, {function}({arguments}) OVER (PARTITION BY key ORDER BY ts) AS score FROM rows
WITH (connector = 'file', path = '{scored}', mode = 'append');
""")
            command = [self.binary, "run", script, "--workers", "1", "--quiet"]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if done.returncode:
                sys.exit(f"{script.read_text()}\n{done.stderr}")
            scores = pd.read_csv(scored).set_index("id")["score"]
        return scores.reindex(range(len(frame))).to_numpy(float), spent


class Example:
    """The same functions without SQL: crates/analysis/examples/score.rs."""

    def __init__(self, binary: str) -> None:
        self.binary = binary

    def score(self, function: str, parameters: dict[str, float], frame: pd.DataFrame) -> tuple[Scores, float]:
        """One score a row (NaN for NULL), and the CPU seconds of scoring alone."""
        micros = frame["ts"].to_numpy("datetime64[us]").astype("int64")
        text = frame.assign(ts=micros).to_csv(index=False)
        options = itertools.chain.from_iterable((f"--{k}", str(v)) for k, v in parameters.items())
        command = [self.binary, "--function", function, *options]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        told = json.loads(done.stderr)
        scores = [float(line) if line else np.nan for line in done.stdout.split("\n")[1 : len(frame) + 1]]
        return np.array(scores), told["seconds"]


# ---------------------------------------------------------------- river's


def by_value(model: object, warm_up: int = 0) -> Callable[[list[float]], float]:
    seen = 0

    def step(row: list[float]) -> float:
        nonlocal seen
        seen += 1
        score = model.score_one(None, row[0]) if seen > warm_up else 0.0
        model.learn_one(None, row[0])
        return score

    return step


def by_change(model: object) -> Callable[[list[float]], float]:
    """A drift detector on values that are scaled as they come, as it has no unit of its own."""
    scaler = preprocessing.StandardScaler()

    def step(row: list[float]) -> float:
        x = {"x": row[0]}
        scaler.learn_one(x)
        model.update(scaler.transform_one(x)["x"])
        return float(model.drift_detected)

    return step


def by_row(model: object) -> Callable[[list[float]], float]:
    def step(row: list[float]) -> float:
        x = dict(enumerate(row))
        score = model.score_one(x)
        model.learn_one(x)
        return score

    return step


def holt_winters(period: int) -> anomaly.PredictiveAnomalyDetection:
    model = time_series.HoltWinters(alpha=0.1, beta=0.001, gamma=0.1, seasonality=period)
    return anomaly.PredictiveAnomalyDetection(model, horizon=1, n_std=3.0, warmup_period=3 * period)


def river_scores(step: Callable[[list[float]], float], case: Case) -> tuple[Scores, float]:
    rows = case.frame[case.inputs].to_numpy().tolist()
    started = time.process_time()
    scores = np.array([step(row) for row in rows], float)
    return scores, time.process_time() - started


@dataclasses.dataclass
class Pair:
    """A function of ours and what of river is nearest to it."""

    function: str
    threshold: float
    cases: list[str]
    rival: str
    make: Callable[[Case], Callable[[list[float]], float]]
    rival_threshold: float


PAIRS = [
    Pair("anomaly_zscore", 5.0, ["spikes"], "StandardAbsoluteDeviation, 3",
         lambda _: by_value(anomaly.StandardAbsoluteDeviation()), 3.0),
    Pair("anomaly_zscore", 5.0, ["spikes"], "GaussianScorer(window_size=200), 0.9999",
         lambda _: by_value(anomaly.GaussianScorer(window_size=200)), 0.9999),
    Pair("anomaly_ewma", 4.0, ["bumps"], "GaussianScorer(window_size=200), 0.9999",
         lambda _: by_value(anomaly.GaussianScorer(window_size=200)), 0.9999),
    Pair("anomaly_seasonal", 5.0, ["season", "ucr"], "PredictiveAnomalyDetection(HoltWinters), 1",
         lambda case: by_value(holt_winters(case.period), 3 * case.period), 1.0),
    Pair("anomaly_cusum", 10.0, ["shifts"], "StandardScaler, PageHinkley",
         lambda _: by_change(drift.PageHinkley()), 1.0),
    Pair("anomaly_page_hinkley", 40.0, ["shifts"], "StandardScaler, PageHinkley",
         lambda _: by_change(drift.PageHinkley()), 1.0),
    Pair("anomaly_adwin", 1.0, ["shifts"], "StandardScaler, ADWIN", lambda _: by_change(drift.ADWIN()), 1.0),
    Pair("anomaly_half_space", 0.45, ["joint", "shuttle"], "MinMaxScaler, HalfSpaceTrees(25 trees), 0.95",
         lambda _: by_row(preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=25, height=8, seed=42)), 0.95),
]  # fmt: skip


# ---------------------------------------------------------------- judging


def runs(flags: np.ndarray, join: int) -> list[tuple[int, int]]:
    """First and last row of each run of true, runs at most `join` rows apart taken together."""
    found: list[tuple[int, int]] = []
    for at in np.flatnonzero(flags):
        if found and at - found[-1][1] <= join + 1 and join:
            found[-1] = (found[-1][0], int(at))
        else:
            found.append((int(at), int(at)))
    return found


@dataclasses.dataclass
class Counts:
    alarms: int = 0
    right: int = 0
    anomalies: int = 0
    touched: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Counts(*(a + b for a, b in pairs))

    @property
    def precision(self) -> float:
        return self.right / self.alarms if self.alarms else 0.0

    @property
    def recall(self) -> float:
        return self.touched / self.anomalies if self.anomalies else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def judge(case: Case, scores: Scores, threshold: float) -> Counts:
    """Rows without a score are no alarms; anomalies among them count as missed."""
    flags = np.nan_to_num(np.abs(scores), nan=-1.0) >= threshold
    if not case.join and not case.late:
        hits = int((flags & case.labels).sum())
        return Counts(int(flags.sum()), hits, int(case.labels.sum()), hits)
    alarms = runs(flags, case.join)
    anomalies = [(a, b + case.late) for a, b in runs(case.labels, case.join)]
    touches = lambda one, many: any(one[0] <= b and a <= one[1] for a, b in many)
    right = sum(touches(alarm, anomalies) for alarm in alarms)
    return Counts(len(alarms), right, len(anomalies), sum(touches(a, alarms) for a in anomalies))


def best(cases: list[Case], scores: list[Scores], also: float) -> tuple[float, float]:
    """The greatest F1 over thresholds, and its threshold."""
    all_scores = np.abs(np.concatenate(scores))
    all_scores = all_scores[np.isfinite(all_scores)]
    quantiles = np.unique(np.quantile(all_scores, 1 - np.geomspace(0.5 / len(all_scores), 0.3, 120)))
    tried = [(total(cases, scores, t).f1, float(t)) for t in [*quantiles, also] if t > 0]
    return max(tried, default=(0.0, 0.0))


def total(cases: list[Case], scores: list[Scores], threshold: float) -> Counts:
    return sum((judge(c, s, threshold) for c, s in zip(cases, scores, strict=True)), Counts())


def parameters_of(pair: Pair, case: Case) -> dict[str, float]:
    return {"period": case.period} if pair.function.startswith("anomaly_seasonal") else {}


def line(name: str, what: str, threshold: float, cases: list[Case], scores: list[Scores], rate: float) -> str:
    counts, (f1, at) = total(cases, scores, threshold), best(cases, scores, threshold)
    figures = f"{counts.precision:.2f} | {counts.recall:.2f} | {counts.f1:.2f} | {f1:.2f} (at {at:.4g}) | {rate:,.0f}"
    return f"| {name} | {what} | {figures} |"


def tiled(case: Case, rows: int) -> pd.DataFrame:
    """The series under as many keys as make `rows` rows, the keys in turns: short series do not show the speed."""
    keys = max(1, rows // len(case.frame))
    frame = case.frame.loc[case.frame.index.repeat(keys)].reset_index(drop=True)
    frame["key"] = np.tile([f"k{i}" for i in range(keys)], len(case.frame))
    return frame


def table(ours: Sql | Example, seeds: list[int], only: set[str], rows: int) -> list[str]:
    lines = [
        "| series | detector, threshold | precision | recall | F1 | best F1 | rows a second |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for pair in PAIRS:
        for name in pair.cases:
            if only and name not in only:
                continue
            if name in REAL:
                cases = [REAL[name]()]
            else:
                cases = [GENERATORS[name](np.random.default_rng(seed)) for seed in seeds]
            scored = [ours.score(pair.function, parameters_of(pair, case), case.frame)[0] for case in cases]
            many = tiled(cases[0], rows)
            rate = len(many) / ours.score(pair.function, parameters_of(pair, cases[0]), many)[1]
            what = f"`{pair.function}`, {pair.threshold:g}"
            lines.append(line(cases[0].name, what, pair.threshold, cases, scored, rate))
            theirs = [river_scores(pair.make(case), case) for case in cases]
            rate = sum(len(scores) for scores, _ in theirs) / sum(seconds for _, seconds in theirs)
            what = f"river: {pair.rival}"
            lines.append(line(cases[0].name, what, pair.rival_threshold, cases, [s for s, _ in theirs], rate))
    return lines


def sweep(ours: Sql | Example, seeds: list[int], only: set[str], grid: dict[str, list[float]]) -> None:
    """Prints F1 at the threshold, and the best, for each choice of parameters: how the defaults were chosen."""
    for pair in PAIRS:
        for name in pair.cases:
            if name not in only or name in REAL:
                continue
            cases = [GENERATORS[name](np.random.default_rng(seed)) for seed in seeds]
            for choice in itertools.product(*grid.values()):
                extra = dict(zip(grid, choice, strict=True))
                given = [parameters_of(pair, case) | extra for case in cases]
                scores = [ours.score(pair.function, g, c.frame)[0] for g, c in zip(given, cases, strict=True)]
                print(line(name, f"{pair.function} {extra}", pair.threshold, cases, scores, np.nan), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thalweg", help="the server's binary: measures through SQL")
    parser.add_argument("--example", help="the example `score`: measures the functions alone")
    parser.add_argument("--seeds", default="1001,1002,1003", help="of the generated series")
    parser.add_argument("--cases", default="", help=f"some of {', '.join([*GENERATORS, *REAL])}")
    parser.add_argument("--rows", type=int, default=500_000, help="that speed is measured with")
    parser.add_argument("--sweep", action="append", default=[], help="NAME=VALUE,… : try parameters instead")
    parser.add_argument("--docs", action="store_true", help="writes the tables into docs/anomaly.md")
    given = parser.parse_args()
    if bool(given.thalweg) == bool(given.example):
        parser.error("give one of --thalweg and --example")
    ours = Sql(given.thalweg) if given.thalweg else Example(given.example)
    seeds, only = [int(s) for s in given.seeds.split(",")], set(filter(None, given.cases.split(",")))
    if given.sweep:
        grid = {k: [float(v) for v in vs.split(",")] for k, vs in (g.split("=") for g in given.sweep)}
        sweep(ours, seeds, only, grid)
        return
    through = "through SQL, from CSV to CSV" if given.thalweg else "on the functions alone, without SQL"
    text = "\n".join([f"Measured {through}; seeds {given.seeds}.", "", *table(ours, seeds, only, given.rows)])
    print(text)
    if given.docs:
        before, _, rest = DOCS.read_text().partition(START)
        _, _, after = rest.partition(END)
        DOCS.write_text(f"{before}{START}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
