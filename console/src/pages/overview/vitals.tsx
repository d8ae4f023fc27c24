// `Vitals`: time and space, a small chart each. What the server does not tell is not shown; something near it is.

import type { Figures } from "../../data/figures";
import { bytes, duration } from "../../data/format";
import { pulse, type Series, seriesOf } from "../../state/server";
import { Chart, type ChartSeries } from "../../ui/chart";
import { Figure } from "../../ui/figure";

const LINE: readonly ChartSeries[] = [{ label: "value", colour: 1, filled: true }];

interface Vital {
  title: string;
  value: string;
  note: string;
  series: Series;
  format: (n: number | undefined) => string;
}

export function Vitals({ now }: { now: Figures | undefined }) {
  return (
    <div class="vitals">
      {vitals(now).map(({ title, value, note, series, format }) => (
        <Figure key={title} title={title} value={value} note={note}>
          <Chart
            small
            label={`${title} over the last five minutes`}
            series={LINE}
            data={() => seriesOf(series)}
            version={pulse.value}
            format={format}
            height={56}
          />
        </Figure>
      ))}
    </div>
  );
}

function vitals(now: Figures | undefined): Vital[] {
  const latency: Vital =
    now?.latency === undefined
      ? {
          title: "Epoch",
          value: duration(now?.epochLength),
          note: "until a change is seen, on average",
          series: "epochLength",
          format: duration,
        }
      : {
          title: "Latency",
          value: duration(now.latency),
          note: "from arrival to sight, median",
          series: "latency",
          format: duration,
        };
  const lag: Vital =
    now?.watermarkLag === undefined
      ? {
          title: "Waiting input",
          value: bytes(now?.queueBytes),
          note: "handed in, not yet taken in",
          series: "queueBytes",
          format: bytes,
        }
      : {
          title: "Watermark lag",
          value: duration(now.watermarkLag),
          note: "behind the clock, the slowest source",
          series: "watermarkLag",
          format: duration,
        };
  return [
    latency,
    lag,
    {
      title: "State",
      value: bytes(now?.stateBytes),
      note: "in memory, of all operators",
      series: "stateBytes",
      format: bytes,
    },
    {
      title: "Hub",
      value: bytes(now?.hubBytes),
      note: "kept of what was handed in",
      series: "hubBytes",
      format: bytes,
    },
  ];
}
