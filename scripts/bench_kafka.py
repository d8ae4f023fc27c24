"""Kafka to Kafka through Thalweg, and the hub beside the broker. One broker (scripts/kafka), one server, one run:

- Nexmark bids as JSON through q1 (a projection) and q5 (hot items: windows, a join): events a second from a full topic until the
  last result is committed, CPU seconds of the server;
- the same at a fixed rate: milliseconds from a bid's creation at the producer to its result at a consumer at `read_committed`;
- records a second that the hub makes durable, each append acknowledged after an fsync, beside what the broker takes at acks=all.

usage: bench_kafka.py [--bids N] [--rate N] [--seconds N]
THALWEG names the binary: `make build` makes target/release/thalweg. Needs tests/server/requirements.txt.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("THALWEG", str(ROOT / "target" / "release" / "thalweg"))
sys.path.insert(0, str(ROOT / "tests" / "server"))

from harness import BINARY, Server  # noqa: E402
from services import Broker  # noqa: E402

PARTITIONS = 2
COLUMNS = "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR"
QUERIES = {
    "q1": "SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM {bid}",
    "q5": """WITH auction_bids AS (
               SELECT auction, count(*) AS num, window_start, window_end
               FROM HOP({bid}, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY auction, window_start, window_end
             ), max_bids AS (
               SELECT max(num) AS max_num, window_start, window_end FROM auction_bids GROUP BY window_start, window_end
             )
             SELECT a.auction, a.num, a.window_end FROM auction_bids AS a
             JOIN max_bids AS m ON a.window_start = m.window_start AND a.window_end = m.window_end AND a.num >= m.max_num
             EMIT ON WINDOW CLOSE""",
}


def producer_of(broker: Broker) -> Producer:
    return Producer({"bootstrap.servers": broker.address, "linger.ms": 5, "batch.size": 1 << 18, "queue.buffering.max.messages": 2_000_000})


def consumer_of(broker: Broker, topic: str) -> Consumer:
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": f"bench-{topic}", "isolation.level": "read_committed",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 5})  # fmt: skip
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    return consumer


def fill(broker: Broker, topic: str, lines: list[bytes]) -> None:
    producer = producer_of(broker)
    for i, line in enumerate(lines):
        while True:
            try:
                producer.produce(topic, line, partition=i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def cpu(server: Server) -> float:
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def declared(broker: Broker, bid: str, topic: str, lateness: str) -> str:
    return (f"CREATE SOURCE {bid} ({COLUMNS}, WATERMARK FOR date_time AS date_time - INTERVAL '{lateness}') WITH (connector = 'kafka', "
            f"properties.bootstrap.server = '{broker.address}', topic = '{topic}', scan.startup.mode = 'earliest', format = 'json')")  # fmt: skip


def sunk(broker: Broker, name: str, query: str, topic: str) -> str:
    return (f"CREATE SINK {name} AS {query} WITH (connector = 'kafka', properties.bootstrap.server = '{broker.address}', "
            f"topic = '{topic}', format = 'plain', encode = 'json', force_append_only = 'true')")  # fmt: skip


def metric(server: Server, name: str) -> float:
    return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", server.request("GET", "/metrics")[2], re.M))


def drained(server: Server, count: int) -> None:
    """Until all is read and every result of it is delivered."""
    deadline = time.monotonic() + 300
    while metric(server, "thalweg_rows_in_total") < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{metric(server, 'thalweg_rows_in_total')} of {count} were read")
        time.sleep(0.02)
    epoch = metric(server, "thalweg_readable_epoch")
    while metric(server, "thalweg_checkpoint_epoch") < epoch or metric(server, "thalweg_sink_lag_epochs") > 0:
        if time.monotonic() > deadline:
            raise RuntimeError("the sink lags behind")
        time.sleep(0.02)


def throughput(broker: Broker, query: str, bids: int) -> None:
    broker.topic(f"out-{query}", PARTITIONS)
    with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder, Server("--data", folder) as server, server.connect() as session:
        session.execute("SET background_ddl = true")
        session.execute(declared(broker, "bid", "bids", "4 seconds"))
        before, began = cpu(server), time.perf_counter()
        session.execute(sunk(broker, query, QUERIES[query].format(bid="bid"), f"out-{query}"))
        drained(server, bids)
        took = time.perf_counter() - began
        out = metric(server, "thalweg_sink_rows_total")
        print(f"{query}: {bids / took:,.0f} events/s ({bids:,} in {took:.1f} s, {out:,.0f} results), {cpu(server) - before:.1f} CPU s", flush=True)


def latency(broker: Broker, rate: int, seconds: int, interval: str) -> None:
    """q1 at a fixed rate: `extra` carries the time at which the bid was made."""
    bids, out = f"live-{interval}", f"live-out-{interval}"
    broker.topic(bids, PARTITIONS)
    broker.topic(out, PARTITIONS)
    taken, done = [], threading.Event()

    def follow() -> None:
        consumer = consumer_of(broker, out)
        while not done.is_set():
            for message in consumer.consume(10_000, 0.05):
                now = time.time()
                taken.append(now - float(json.loads(message.value())["extra"]))
        consumer.close()

    with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder:
        with Server("--data", folder, "--checkpoint-interval", interval) as server, server.connect() as session:
            session.execute(declared(broker, "bid", bids, "0 seconds"))
            session.execute(sunk(broker, "live", QUERIES["q1"].format(bid="bid"), out))
            thread = threading.Thread(target=follow, daemon=True)
            thread.start()
            producer, began, sent = producer_of(broker), time.time(), 0
            while (now := time.time()) < began + seconds:
                for _ in range(int((now - began) * rate) - sent):
                    # When it was due: what is sent late is not late for nothing.
                    due = began + sent / rate
                    row = {"auction": sent, "bidder": 1, "price": 100, "channel": "c", "url": "u", "date_time": int(due * 1000), "extra": str(due)}
                    producer.produce(bids, json.dumps(row), partition=sent % PARTITIONS)
                    sent += 1
                producer.poll(0)
                time.sleep(0.002)
            producer.flush()
            deadline = time.monotonic() + 30
            while len(taken) < sent and time.monotonic() < deadline:
                time.sleep(0.05)
            done.set()
            thread.join()
    taken.sort()
    at = lambda q: 1e3 * taken[min(len(taken) - 1, int(q * len(taken)))]  # noqa: E731
    print(f"q1 at {rate:,} events/s, a checkpoint every {interval}: {len(taken):,} of {sent:,} results, "
          f"p50 {at(0.5):.0f} ms, p99 {at(0.99):.0f} ms, max {at(1):.0f} ms", flush=True)  # fmt: skip


def hub_beside_broker(broker: Broker) -> None:
    broker.topic("perf", PARTITIONS)
    rates = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder:
            command = [str(BINARY), "bench", "hub", "--data", f"{folder}/hub", "--seconds", "5"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        perf = broker.tool("ProducerPerformance", "--topic", "perf", "--num-records", "3000000", "--record-size", "100", "--throughput", "-1",
                           "--producer-props", f"bootstrap.servers={broker.address}", "acks=all")  # fmt: skip
        perf = perf.strip().splitlines()[-1]
        rates.append((float(said.split()[0]), float(re.search(r"([\d.]+) records/sec", perf)[1])))
        print(f"hub:    {said}\nbroker: {perf}", flush=True)
    ratio = statistics.median(hub / kafka for hub, kafka in rates)
    print(f"hub by broker, median of {len(rates)}: {ratio:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bids", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=15)
    args = parser.parse_args()
    broker = Broker()
    with tempfile.TemporaryDirectory(prefix="thalweg-nexmark-") as data:
        events = args.bids * 50 // 46 + 50
        subprocess.run([str(BINARY), "bench", "nexmark", "--generate", data, "--events", str(events), "--files", "1", "--format", "ndjson"],
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        lines = next((pathlib.Path(data) / "bid").glob("*.ndjson")).read_bytes().splitlines()[: args.bids]
    broker.topic("bids", PARTITIONS)
    fill(broker, "bids", lines)
    for query in QUERIES:
        throughput(broker, query, len(lines))
    for interval in ("1s", "100ms"):
        latency(broker, args.rate, args.seconds, interval)
    hub_beside_broker(broker)
    broker.remove()


if __name__ == "__main__":
    main()
