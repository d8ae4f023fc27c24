// `Checkpoints`: whether what was done would survive now. It must not know how checkpoints are made.

import { useEffect, useState } from "preact/hooks";
import { query } from "../../api/sql";
import type { Figures } from "../../data/figures";
import { bytes, duration } from "../../data/format";
import { Poll } from "../../state/poll";
import { Chart, type ChartSeries } from "../../ui/chart";
import { Failure } from "../../ui/notice";

interface Checkpoint {
  durable_at: string;
  duration_ms: number;
  written_bytes: number;
  state_bytes: number;
}

const BARS: readonly ChartSeries[] = [{ label: "milliseconds", colour: 3 }];
const milliseconds = (n: number | undefined) => duration(n === undefined ? undefined : n / 1000);

const QUESTION = `SELECT durable_at, duration_ms, written_bytes, state_bytes FROM thalweg_catalog.checkpoints
 ORDER BY epoch DESC LIMIT 60`;

export function Checkpoints({ now }: { now: Figures | undefined }) {
  const [poll] = useState(() => new Poll((signal) => query<Checkpoint>(QUESTION, signal), 3000));
  useEffect(() => poll.use(), [poll]);
  const { value = [], error } = poll.state.value;
  const last = value[0];
  const data = () => {
    const past = [...value].reverse();
    return [past.map((c) => Date.parse(c.durable_at) / 1000), past.map((c) => c.duration_ms)] as [number[], number[]];
  };
  return (
    <section class="panel" aria-labelledby="checkpoints">
      <h2 id="checkpoints">Checkpoints</h2>
      {error && <Failure error={error} what="checkpoints" />}
      {!last && !error && <p class="muted">None yet. A server without --data keeps everything in memory alone.</p>}
      {last && (
        <>
          <dl class="facts">
            <div>
              <dt>Last</dt>
              <dd>{duration(now?.checkpointAge)} ago</dd>
            </div>
            <div>
              <dt>Took</dt>
              <dd>{milliseconds(last.duration_ms)}</dd>
            </div>
            <div>
              <dt>Written</dt>
              <dd>{bytes(last.written_bytes)}</dd>
            </div>
            <div>
              <dt>State</dt>
              <dd>{bytes(last.state_bytes)}</dd>
            </div>
          </dl>
          <Chart
            bars
            label="How long the last checkpoints took"
            series={BARS}
            data={data}
            version={Date.parse(last.durable_at)}
            format={milliseconds}
            height={150}
          />
        </>
      )}
      {now && now.checkpointFailures > 0 && (
        <p class="bad">{now.checkpointFailures} checkpoints have failed since the start.</p>
      )}
    </section>
  );
}
