// `Figures`: what two readings of /metrics say about the server and each job. Pure. It must not know how they are shown.

import type { Metrics } from "../api/metrics";

/** One job; rates are by the second. */
export interface JobFigures {
  rowsIn: number;
  rowsOut: number;
  stateBytes: number;
  queueBytes: number;
  queueGrowth: number;
  stateGrowth: number;
  late: number;
  dead: number;
  failed: boolean;
  /** Seconds of event time behind the wall clock; undefined if the server does not tell. */
  watermarkLag: number | undefined;
  /** Largest share of a worker times the number of workers: 1 is even. Undefined if the server does not tell. */
  skew: number | undefined;
  /** Share of time that its operators work, from 0 to 1. Undefined if the server does not tell. */
  busy: number | undefined;
}

/** One sink. */
export interface SinkFigures {
  rows: number;
  lagEpochs: number;
  failing: boolean;
}

export interface Figures {
  /** Milliseconds since 1970. */
  at: number;
  rowsIn: number;
  rowsOut: number;
  epochs: number;
  /** Seconds; undefined while none is sealed. */
  epochLength: number | undefined;
  stateBytes: number;
  hubBytes: number;
  queueBytes: number;
  sessions: number;
  subscribers: number;
  uptime: number;
  /** Median seconds from arrival to visibility; undefined if the server does not tell. */
  latency: number | undefined;
  /** The largest of all sources; undefined if the server does not tell. */
  watermarkLag: number | undefined;
  residentBytes: number | undefined;
  memoryLimit: number | undefined;
  checkpointAge: number | undefined;
  checkpointDuration: number | undefined;
  checkpointFailures: number;
  jobs: Map<string, JobFigures>;
  sinks: Map<string, SinkFigures>;
  /** The job that does not keep up, if one does not. */
  bottleneck: string | undefined;
}

/** Growth below this many bytes a second is no sign of anything. */
const NOTICEABLE_GROWTH = 1024;

/** A job whose operators work more than this share of the time holds up the others. */
const BUSY = 0.85;

export function figures(before: Metrics, now: Metrics): Figures {
  const seconds = Math.max((now.at - before.at) / 1000, 0.001);
  // A counter that went down belongs to a server that started anew.
  const rate = (a: number | undefined, b: number | undefined) => Math.max((b ?? 0) - (a ?? 0), 0) / seconds;
  const total = (name: string) => rate(before.sum(name), now.sum(name));
  const jobs = new Map<string, JobFigures>();
  for (const name of jobNames(now)) jobs.set(name, jobOf(name, before, now, rate));
  const lags = now.all("thalweg_watermark_lag_seconds").map((sample) => sample.value);
  const epochs = total("thalweg_epochs_total");
  return {
    at: now.at,
    rowsIn: total("thalweg_rows_in_total"),
    rowsOut: total("thalweg_rows_out_total"),
    epochs,
    epochLength: epochs > 0 ? 1 / epochs : undefined,
    stateBytes: now.sum("thalweg_state_bytes") ?? 0,
    hubBytes: now.sum("thalweg_hub_bytes") ?? 0,
    queueBytes: now.sum("thalweg_queue_bytes") ?? 0,
    sessions: now.sum("thalweg_sessions") ?? 0,
    subscribers: now.sum("thalweg_http_subscribers") ?? 0,
    uptime: now.sum("thalweg_uptime_seconds") ?? 0,
    latency: now.one("thalweg_latency_seconds", "quantile", "0.5"),
    watermarkLag: lags.length > 0 ? Math.max(...lags) : undefined,
    residentBytes: now.sum("thalweg_resident_bytes"),
    memoryLimit: now.sum("thalweg_memory_limit_bytes"),
    checkpointAge: now.sum("thalweg_checkpoint_age_seconds"),
    checkpointDuration: now.sum("thalweg_checkpoint_duration_seconds"),
    checkpointFailures: now.sum("thalweg_checkpoint_failures_total") ?? 0,
    jobs,
    sinks: sinksOf(before, now, rate),
    bottleneck: bottleneckOf(jobs),
  };
}

function jobNames(now: Metrics): string[] {
  return now.all("thalweg_rows_out_total").flatMap((sample) => sample.labels.job ?? []);
}

type Rate = (a: number | undefined, b: number | undefined) => number;

function jobOf(name: string, before: Metrics, now: Metrics, rate: Rate): JobFigures {
  const of = (metric: string) => now.one(metric, "job", name);
  const speed = (metric: string) => rate(before.one(metric, "job", name), of(metric));
  return {
    rowsIn: speed("thalweg_rows_in_total"),
    rowsOut: speed("thalweg_rows_out_total"),
    stateBytes: of("thalweg_state_bytes") ?? 0,
    queueBytes: of("thalweg_queue_bytes") ?? 0,
    queueGrowth: speed("thalweg_queue_bytes"),
    stateGrowth: speed("thalweg_state_bytes"),
    late: of("thalweg_late_rows_total") ?? 0,
    dead: of("thalweg_dead_rows_total") ?? 0,
    failed: (of("thalweg_job_failed") ?? 0) > 0,
    watermarkLag: of("thalweg_watermark_lag_seconds"),
    skew: of("thalweg_job_skew_ratio"),
    busy: of("thalweg_job_busy_seconds_total") === undefined ? undefined : speed("thalweg_job_busy_seconds_total"),
  };
}

function sinksOf(before: Metrics, now: Metrics, rate: Rate): Map<string, SinkFigures> {
  const sinks = new Map<string, SinkFigures>();
  for (const { labels, value } of now.all("thalweg_sink_rows_total")) {
    const name = labels.sink;
    if (name === undefined) continue;
    sinks.set(name, {
      rows: rate(before.one("thalweg_sink_rows_total", "sink", name), value),
      lagEpochs: now.one("thalweg_sink_lag_epochs", "sink", name) ?? 0,
      failing: (now.one("thalweg_sink_failing", "sink", name) ?? 0) > 0,
    });
  }
  return sinks;
}

/** The busiest where the server tells; else the one whose queue grows fastest: it takes in less than comes. */
function bottleneckOf(jobs: Map<string, JobFigures>): string | undefined {
  const most = (of: (job: JobFigures) => number, least: number) => {
    let best: string | undefined;
    let value = least;
    for (const [name, job] of jobs) {
      if (of(job) >= value) [best, value] = [name, of(job)];
    }
    return best;
  };
  return most((job) => job.busy ?? 0, BUSY) ?? most((job) => job.queueGrowth, NOTICEABLE_GROWTH);
}
