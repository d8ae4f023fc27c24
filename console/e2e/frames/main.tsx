// Twenty live panels on one page: what the console would be at its busiest. Built by the test alone.

import { render } from "preact";
import { useLive } from "../../src/live/use-live";
import { Grid } from "../../src/ui/grid";
import { LiveBadge } from "../../src/ui/live-badge";
import { LiveChart } from "../../src/ui/live-chart";
import "../../src/styles/fonts.css";
import "../../src/styles/tokens.css";
import "../../src/styles/base.css";
import "../../src/styles/parts.css";
import "../../src/styles/chart.css";
import "../../src/styles/grid.css";
import "./frames.css";

const PANELS = 20;

function Panel({ number }: { number: number }) {
  const { table, state } = useLive(
    `SELECT station, readings, mean_level, peak_flow FROM levels WHERE readings > ${number}`,
  );
  return (
    <section class="panel" data-commits={table.commits}>
      <LiveBadge state={state} />
      {number % 4 === 3 ? (
        <Grid columns={table.columns} rows={table.rows} commit={table.commits} label={`Panel ${number}`} />
      ) : (
        <LiveChart table={table} column={1 + (number % 3)} label={`Panel ${number}`} height={150} />
      )}
    </section>
  );
}

const root = document.getElementById("app");
if (root) {
  render(
    Array.from({ length: PANELS }, (_, number) => <Panel key={number} number={number} />),
    root,
  );
}
