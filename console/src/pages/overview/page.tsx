// The Overview: how the server does, at a glance. It must not know how figures are made.

import { bytes, count, counted, duration } from "../../data/format";
import { metrics, pulse, seriesOf, useCatalog, useFigures } from "../../state/server";
import { Chart, type ChartSeries } from "../../ui/chart";
import { Figure } from "../../ui/figure";
import { Failure, Notice } from "../../ui/notice";
import "../../styles/overview.css";
import { Checkpoints } from "./checkpoints";
import { Jobs } from "./jobs";
import { Vitals } from "./vitals";

const THROUGHPUT: readonly ChartSeries[] = [
  { label: "rows in", colour: 1, filled: true },
  { label: "changes out", colour: 2 },
];

export default function OverviewPage() {
  const now = useFigures();
  const { value: catalog, error: catalogError } = useCatalog();
  const error = metrics.state.value.error;
  const failing = catalog?.jobs.filter((job) => job.error !== null) ?? [];
  return (
    <div class="page">
      <header class="page-head">
        <h1>Overview</h1>
        {now && (
          <p class="muted">
            up {duration(now.uptime)} · {counted(now.sessions, "session")} · {counted(now.subscribers, "follower")}
          </p>
        )}
      </header>
      {error && <Failure error={error} what="the figures of the server" />}
      {failing.map((job) => (
        <Notice key={job.name} kind="bad" title={`${job.name} is ${job.state}`} detail={job.error ?? undefined} />
      ))}
      <section class="throughput" aria-label="Throughput">
        <div class="throughput-figures">
          <Figure title="Rows in" value={`${count(now?.rowsIn)}/s`} tone="good" />
          <Figure title="Changes out" value={`${count(now?.rowsOut)}/s`} />
        </div>
        <Chart
          label="Rows in and changes out a second, over the last five minutes"
          series={THROUGHPUT}
          data={() => seriesOf("rowsIn", "rowsOut")}
          version={pulse.value}
          format={count}
          height={220}
        />
      </section>
      <Vitals now={now} />
      <div class="overview-columns">
        <Jobs now={now} catalog={catalog} />
        <Checkpoints now={now} />
      </div>
      {catalogError && <Failure error={catalogError} what="the catalog" />}
      {now?.residentBytes !== undefined && (
        <p class="muted">
          The process has {bytes(now.residentBytes)} of memory
          {now.memoryLimit !== undefined && `, of ${bytes(now.memoryLimit)} that it may have`}.
        </p>
      )}
    </div>
  );
}
