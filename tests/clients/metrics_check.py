"""The board and rules of `deploy/grafana` on Prometheus: every metric and label that they name is one that a server
with
some load serves; and, where Prometheus is found, a scrape, every expression of the board, and the rules."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg
import yaml

import boards
from harness import Suite, same


class Kept(Suite):
    """A suite whose server keeps what it is given in a folder that goes with it."""

    def abandon(self) -> None:
        super().abandon()
        shutil.rmtree(folder, ignore_errors=True)


folder = pathlib.Path(tempfile.mkdtemp(prefix="thalweg-metrics-"))
suite = Kept("metrics")
check = suite.check
BOARD = boards.board("operations")
RULES = yaml.safe_load((boards.FOLDER / "rules.yml").read_text())

# Words of PromQL that are not labels or metrics.
WORDS = set("by on and or sum count rate increase resets vector".split())
# Labels that Prometheus itself gives a series; its `exported_job` is the server's `job`.
GIVEN = {"instance", "job"}


def get(path: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(suite.server.http + path, body, timeout=5) as answer:
        return answer.read().decode()


def served() -> dict[str, set[str]]:
    """The labels of each metric that has a sample."""
    found: dict[str, set[str]] = {}
    for line in get("/metrics").splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels or ""))
    return found


def expressions() -> list[tuple[str, str]]:
    """Title and PromQL of every panel and rule."""
    of_board = [(panel["title"], target["expr"]) for panel in boards.panels(BOARD) for target in panel["targets"]]
    return of_board + [(rule["alert"], rule["expr"]) for group in RULES["groups"] for rule in group["rules"]]


def names_in(expression: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that an expression names."""
    selectors = re.findall(r"\{([^}]*)\}", expression)
    labels = {label for inside in selectors for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)}
    labels |= {
        word for inside in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression) for word in re.findall(r"\w+", inside)
    }
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on)\s*\([^)]*\)", " ", expression)
    return {word for word in re.findall(r"\b[a-z_]\w*", bare) if word not in WORDS}, labels


def until(what, seconds: float = 8) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.1)


@check
def load_is_made():
    """Something in every counter: views, a sink that keeps its progress, ingest with a broken row, an expectation, a
    broken
    file, and a job that stops."""
    broken = folder / "broken.ndjson"
    broken.write_text('{"a": 1}\n{"a": \n{"a": 2}\n')
    negative = folder / "negative.ndjson"
    negative.write_text('{"a": -1}\n')
    with psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5) as connection:
        connection.execute((boards.FOLDER / "example.sql").read_text())
        for statement in (
            "CREATE TABLE payments (id bigint PRIMARY KEY, amount int) EXPECT (positive CHECK (amount > 0) ON "
            "VIOLATION DROP)",
            "INSERT INTO payments VALUES (1, 1), (2, -1)",
            "CREATE TABLE handed_in (id bigint, v int)",
            f"CREATE SINK kept AS SELECT id, region FROM orders WITH (connector = 'lake', path = '{folder}/lake')",
            f"CREATE SOURCE broken (a int) WITH (connector = 'file', path = '{broken}')",
            "CREATE MATERIALIZED VIEW readable AS SELECT a FROM broken",
            f"CREATE SOURCE strict (a int) WITH (connector = 'file', path = '{negative}')".replace(
                "(a int)", "(a int) EXPECT (natural CHECK (a > 0) ON VIOLATION FAIL)"
            ),
            "SET background_ddl = true",
            "CREATE MATERIALIZED VIEW stopped AS SELECT a FROM strict",
        ):
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                raise AssertionError(f"{statement}\n{error}") from error
    get("/v1/ingest/handed_in", b'{"id": 1, "v": 1}\n{"id": "x"\n')
    until(lambda: re.search(r"thalweg_checkpoints_total [1-9]", get("/metrics")))
    until(lambda: re.search(r"thalweg_sink_rows_total\{.*\} [1-9]", get("/metrics")))


def value(name: str, labels: str = "") -> float:
    found = re.search(rf"^{name}{re.escape(labels)} (\S+)$", get("/metrics"), re.MULTILINE)
    assert found, f"{name}{labels} is not served"
    return float(found[1])


@check
def load_is_counted():
    until(lambda: value("thalweg_job_failed", '{job="stopped"}') == 1)
    same(value("thalweg_dead_rows_total", '{job="readable"}'), 1)
    same(value("thalweg_http_ingest_rejected_rows_total"), 1)
    same(value("thalweg_http_ingest_rows_total"), 1)
    same(value("thalweg_expectation_violations_total", '{relation="payments",expectation="positive",action="DROP"}'), 1)
    assert value("thalweg_checkpoint_total_bytes") > 0 and value("thalweg_checkpoint_duration_seconds") > 0
    assert value("thalweg_hub_appends_total") > 0 and value("thalweg_hub_fsyncs_total") > 0
    assert value("thalweg_rows_in_total", '{job="revenue"}') > 0 and value("thalweg_state_bytes", '{job="revenue"}') > 0


@check
def every_metric_and_label_exists():
    have = served()
    assert len(expressions()) > 40
    for title, expression in expressions():
        metrics, labels = names_in(expression)
        metrics -= {"up"}
        assert metrics or "up{" in expression, (title, expression)
        assert metrics <= set(have), (title, metrics - set(have))
        allowed = GIVEN | {"exported_job" if l == "job" else l for metric in metrics for l in have[metric]}
        assert labels <= allowed, (title, labels - allowed)


@check
def legends_name_labels_that_exist():
    have = served()
    for panel in boards.panels(BOARD):
        for target in panel["targets"]:
            metrics, kept = names_in(target["expr"])
            of_metrics = {"exported_job" if l == "job" else l for metric in metrics - {"up"} for l in have[metric]}
            grouped = re.search(r"\bby\s*\(([^)]*)\)", target["expr"])
            left = set(re.findall(r"\w+", grouped[1])) if grouped else of_metrics | GIVEN
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert used <= left, (panel["title"], used - left)


@check
def every_metric_is_on_the_board():
    drawn = {metric for _, expression in expressions() for metric in names_in(expression)[0]}
    # Which epoch is the last is of no use as a graph.
    same(set(served()) - drawn - {"thalweg_checkpoint_epoch"}, set(), "served and nowhere drawn")


@check
def panels_have_what_a_reader_needs():
    for panel in boards.panels(BOARD):
        assert panel["title"] and panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] and panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        same({panel["datasource"]["uid"], *(t["datasource"]["uid"] for t in panel["targets"])}, {"thalweg-metrics"})
    ids = [panel["id"] for panel in BOARD["panels"]]
    same(len(set(ids)), len(ids))
    boxes = [p["gridPos"] for p in BOARD["panels"]]
    for i, a in enumerate(boxes):
        assert a["x"] + a["w"] <= 24, a
        for b in boxes[:i]:
            apart = (
                a["x"] + a["w"] <= b["x"]
                or b["x"] + b["w"] <= a["x"]
                or a["y"] + a["h"] <= b["y"]
                or b["y"] + b["h"] <= a["y"]
            )
            assert apart, ("panels overlap", a, b)


@check
def data_sources_that_boards_name_are_provisioned():
    made = yaml.safe_load((boards.FOLDER / "provisioning" / "datasources" / "thalweg.yml").read_text())["datasources"]
    named = {
        (t["datasource"]["uid"], t["datasource"]["type"])
        for name in ("operations", "shop")
        for panel in boards.panels(boards.board(name))
        for t in panel["targets"]
    }
    same({(one["uid"], one["type"]) for one in made}, named)


@check
def a_host_name_that_the_server_does_not_know():
    request = urllib.request.Request(suite.server.http + "/metrics", headers={"Host": "thalweg.internal:4567"})
    try:
        urllib.request.urlopen(request, timeout=5)
    except urllib.error.HTTPError as error:
        same(error.code, 421)
    else:
        raise AssertionError("it was served")


class Prometheus:
    """One that scrapes the server under test every second, with the rules of the folder."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = yaml.safe_load((boards.FOLDER / "prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        settings["rule_files"] = [str(boards.FOLDER / "rules.yml")]
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [suite.server.http.removeprefix("http://")]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        self.log = (folder / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/series",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, path: str, **parameters) -> dict:
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=5) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


HAS_PROMETHEUS = bool(shutil.which("prometheus") and shutil.which("promtool"))


def with_prometheus(function):
    """A check that is there only where Prometheus is."""
    return check(function) if HAS_PROMETHEUS else function


@with_prometheus
def promtool_takes_settings_and_rules():
    for arguments in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ):
        ended = subprocess.run(["promtool", *arguments], cwd=boards.FOLDER, capture_output=True, text=True, timeout=15)
        same(ended.returncode, 0, f"{arguments}\n{ended.stdout}{ended.stderr}")


@with_prometheus
def promtool_takes_the_metrics():
    ended = subprocess.run(
        ["promtool", "check", "metrics"], input=get("/metrics"), capture_output=True, text=True, timeout=15
    )
    same(ended.returncode, 0, ended.stdout + ended.stderr)


@with_prometheus
def epoch_length_leaves_out_a_restart():
    """Epochs go on from the clock after a restart: the number jumps by the seconds in between, in microseconds."""
    expression = next(e for title, e in expressions() if title == "Epoch length")
    expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    rule = {"record": "length", "expr": expression}
    test = {
        "interval": "15s",
        "input_series": [
            {"series": 'thalweg_epochs_total{instance="a"}', "values": "1000000+1500x20 900000000+1500x20"},
            {"series": 'thalweg_uptime_seconds{instance="a"}', "values": "0+15x20 1+15x20"},
        ],
        "promql_expr_test": [
            {"expr": "length", "eval_time": at, "exp_samples": samples}
            for at, samples in (
                ("4m", [{"labels": 'length{instance="a"}', "value": 0.01}]),
                ("5m30s", []),
                ("9m", [{"labels": 'length{instance="a"}', "value": 0.01}]),
            )
        ],
    }
    (folder / "length.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    (folder / "length_test.yml").write_text(
        yaml.safe_dump({"rule_files": ["length.yml"], "evaluation_interval": "15s", "tests": [test]})
    )
    ended = subprocess.run(
        ["promtool", "test", "rules", "length_test.yml"], cwd=folder, capture_output=True, text=True, timeout=15
    )
    same(ended.returncode, 0, ended.stdout + ended.stderr)


# Expressions that are empty on a server that is well.
QUIET = {"Late rows", "Failed jobs"}


@with_prometheus
def prometheus_answers_every_expression():
    prometheus = Prometheus()
    try:

        def scraped() -> bool:
            try:
                return (
                    len(
                        prometheus.ask(
                            "query_range",
                            query="thalweg_uptime_seconds",
                            start=time.time() - 10,
                            end=time.time(),
                            step="500ms",
                        )["result"][0]["values"]
                    )
                    >= 8
                )
            except (OSError, AssertionError, IndexError, KeyError):
                # It answers 503 while it starts.
                return False

        until(scraped, 12)
        for title, expression in expressions():
            expression = expression.replace("$__rate_interval", "3s").replace("$instance", ".*")
            found = prometheus.ask("query", query=expression)["result"]
            if title in {panel["title"] for panel in boards.panels(BOARD)} - QUIET:
                assert found, (title, expression)
        firing = {a["labels"]["alertname"] for a in prometheus.ask("alerts")["alerts"]}
        # Waiting for their time, or firing; and those of things that are well are silent.
        assert "ThalwegJobFailed" in firing, firing
        same(
            firing
            & {
                "ThalwegDown",
                "ThalwegRestarted",
                "ThalwegSinkFailing",
                "ThalwegCheckpointOld",
                "ThalwegReadersBehind",
                "ThalwegLoginsRefused",
            },
            set(),
        )
        failed = [r for g in prometheus.ask("rules")["groups"] for r in g["rules"] if r["health"] == "err"]
        same(failed, [])
    finally:
        prometheus.stop()


@check
def a_password_keeps_the_metrics():
    with psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5) as connection:
        connection.execute("ALTER USER root PASSWORD 'long enough 1'")
        connection.execute("CREATE USER scraper PASSWORD 'long enough 2'")
    try:
        get("/metrics")
    except urllib.error.HTTPError as error:
        same(error.code, 401)
    else:
        raise AssertionError("served without a password")
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, suite.server.http, "scraper", "long enough 2", is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    assert "thalweg_uptime_seconds" in opener.open(suite.server.http + "/metrics", timeout=5).read().decode()


if __name__ == "__main__":
    if not HAS_PROMETHEUS:
        print("prometheus and promtool are not there: the checks with them are skipped")
    # Checkpoints and the hub are there only with a data directory.
    os.environ["THALWEG_DATA"] = str(folder / "data")
    suite.main()
