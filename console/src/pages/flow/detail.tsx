// `Detail`: one box of the flow from near: its rates over time, and the operators within. It must not know the picture
// around it.

import { useEffect, useState } from "preact/hooks";
import { type Catalog, createStatement, type Relation } from "../../api/catalog";
import { type ApiError, asApiError } from "../../api/errors";
import type { Figures } from "../../data/figures";
import { bytes, count, duration } from "../../data/format";
import type { Graph } from "../../plan/graph";
import { parsePlan } from "../../plan/parse";
import { href } from "../../state/route";
import { jobSeries, pulse } from "../../state/server";
import { Chart, type ChartSeries } from "../../ui/chart";
import { Code } from "../../ui/code";
import { Failure } from "../../ui/notice";
import { Picture } from "../../ui/picture";
import { planOf } from "../sql/outcome";
import { inflow } from "./graph";

const RATE: readonly ChartSeries[] = [{ label: "changes out", colour: 1, filled: true }];

interface Props {
  relation: Relation;
  now: Figures | undefined;
  catalog: Catalog | undefined;
}

interface Insides {
  statement?: string;
  graph?: Graph;
  error?: ApiError;
}

export function Detail({ relation, now, catalog }: Props) {
  const [insides, setInsides] = useState<Insides>({});
  useEffect(() => {
    let current = true;
    const names = new Map(catalog?.relations.map(({ id, name }) => [`#${id}`, name]));
    const read = async (): Promise<Insides> => {
      const statement = await createStatement(relation);
      const hasPlan = relation.kind === "materialized view" || relation.kind === "sink";
      return hasPlan ? { statement, graph: parsePlan(await planOf(`EXPLAIN ${statement}`), names) } : { statement };
    };
    read()
      .catch((error: unknown) => ({ error: asApiError(error) }))
      .then((found) => current && setInsides(found));
    return () => {
      current = false;
    };
  }, [relation.id]);
  const figures = now?.jobs.get(relation.name);
  return (
    <section class="flow-detail" aria-labelledby="chosen">
      <header class="page-head">
        <h2 id="chosen">{relation.name}</h2>
        <span class="muted">{relation.kind}</span>
        <a href={href("objects", relation.schema, relation.name)}>Rows and columns</a>
      </header>
      {figures && (
        <div class="flow-rates">
          <dl class="facts">
            <Fact name="In" value={`${count(catalog ? inflow(relation.id, catalog, now) : figures.rowsIn)}/s`} />
            <Fact name="Out" value={`${count(figures.rowsOut)}/s`} />
            <Fact name="State" value={bytes(figures.stateBytes)} />
            <Fact name="Waits" value={bytes(figures.queueBytes)} />
            {figures.watermarkLag !== undefined && <Fact name="Watermark lag" value={duration(figures.watermarkLag)} />}
            {figures.skew !== undefined && <Fact name="Skew" value={figures.skew.toFixed(2)} />}
            {figures.late > 0 && <Fact name="Late rows" value={count(figures.late)} />}
            {figures.dead > 0 && <Fact name="Dead letters" value={count(figures.dead)} />}
          </dl>
          <Chart
            label={`Changes a second of ${relation.name} over the last five minutes`}
            series={RATE}
            data={() => jobSeries(relation.name)}
            version={pulse.value}
            format={count}
            height={130}
          />
        </div>
      )}
      {insides.error && <Failure error={insides.error} what={`how ${relation.name} computes`} />}
      {insides.graph && <Picture graph={insides.graph} direction="down" label={`The operators of ${relation.name}`} />}
      {insides.statement && <Code text={insides.statement} />}
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
