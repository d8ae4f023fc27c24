// One number, how good it is, and how it went. It must not know the grid around it.

import { useMemo } from "preact/hooks";
import { ends, numbers, type Tone, toneOf } from "../../board/look";
import { FILL_ALPHA, Plot } from "../../ui/plot";
import { type BodyProps, USUAL_WINDOW } from "./body";
import { useLines } from "./use-lines";

const COLOURS: Record<Tone, string> = { good: "--good", warn: "--warn", bad: "--bad" };
const WORDS: Record<Tone, string> = { good: "as it should be", warn: "near the limit", bad: "beyond the limit" };

export function NumberPanel(props: BodyProps) {
  const { title, options, window = USUAL_WINDOW } = props;
  const found = useLines({ ...props, window });
  const write = useMemo(() => numbers(options), [options]);
  if (!found) return <p class="panel-note">The query has no column of numbers.</p>;
  const { lines, version } = found;
  const values = lines.lines[0]?.values ?? [];
  const value = values.at(-1) ?? undefined;
  const tone = toneOf(value, options.thresholds);
  const colour = tone ? COLOURS[tone] : "--series-1";
  return (
    <div class="panel-number">
      <p class={tone ? `panel-value ${tone}` : "panel-value"}>
        {write(value)}
        {tone && <span class="unseen">, {WORDS[tone]}</span>}
      </p>
      {values.length > 1 && (
        <Plot
          small
          label={`${title} over time`}
          shape={JSON.stringify([colour, options, lines.axis])}
          options={(paint) => ({
            padding: [4, 0, 2, 0],
            legend: { show: false },
            cursor: { show: false },
            scales: {
              x: { time: false },
              y: {
                range: (_, least, most) => {
                  const { bottom, top } = ends(least, most, options);
                  return [bottom, top];
                },
              },
            },
            axes: [{ show: false }, { show: false }],
            series: [
              {},
              { stroke: paint(colour), width: 1.5, fill: `${paint(colour)}${FILL_ALPHA}`, points: { show: false } },
            ],
          })}
          data={() => [lines.x, values]}
          version={version}
          height={undefined}
        />
      )}
    </div>
  );
}
