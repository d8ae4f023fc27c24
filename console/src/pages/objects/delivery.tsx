// `Delivery`: how far a sink is with what it delivers. It must not know where to.

import type { Relation } from "../../api/catalog";
import { count } from "../../data/format";
import { useFigures } from "../../state/server";

export function Delivery({ relation }: { relation: Relation }) {
  const now = useFigures();
  const job = now?.jobs.get(relation.name);
  const sink = now?.sinks.get(relation.name);
  if (!now) return <p class="muted">Reading…</p>;
  return (
    <dl class="facts">
      <div>
        <dt>Given to it</dt>
        <dd>{count(job?.rowsOut)}/s</dd>
      </div>
      {sink && (
        <>
          <div>
            <dt>Delivered</dt>
            <dd>{count(sink.rows)}/s</dd>
          </div>
          <div>
            <dt>Behind the last checkpoint</dt>
            <dd>{count(sink.lagEpochs)} epochs</dd>
          </div>
          <div>
            <dt>Deliveries</dt>
            <dd class={sink.failing ? "bad" : "good"}>
              {sink.failing ? "fail; rows wait in the checkpoints" : "succeed"}
            </dd>
          </div>
        </>
      )}
    </dl>
  );
}
