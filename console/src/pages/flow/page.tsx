// The Flow: what feeds what, how fast, and what holds it up. It must not know how figures are made.

import { useMemo } from "preact/hooks";
import { parsePlan } from "../../plan/parse";
import { go, href, route } from "../../state/route";
import { metrics, useCatalog, useFigures } from "../../state/server";
import { Failure } from "../../ui/notice";
import { Picture } from "../../ui/picture";
import "../../styles/flow.css";
import { Detail } from "./detail";
import { adornmentOf, FAMILIES, flowGraph } from "./graph";

const NOTHING = parsePlan("");

export default function FlowPage() {
  const now = useFigures();
  const { value: catalog, error } = useCatalog();
  const name = route.value.rest[0];
  const chosen = catalog?.relations.find((relation) => relation.name === name);
  // The catalog is read again and again; the picture changes only when what it shows does.
  const shape = JSON.stringify(catalog && [catalog.relations.map(({ id, name }) => [id, name]), catalog.depends]);
  const graph = useMemo(() => (catalog ? flowGraph(catalog) : NOTHING), [shape]);
  const choose = (id: string) => {
    const relation = catalog?.relations.find((r) => String(r.id) === id);
    if (relation) go("flow", ...(relation === chosen ? [] : [relation.name]));
  };
  const failure = error ?? metrics.state.value.error;
  return (
    <div class="page flow-page">
      <header class="page-head">
        <h1>Flow</h1>
        <p class="muted">
          {now?.bottleneck ? `${now.bottleneck} holds up what comes after it.` : "Choose a box to see how it computes."}
        </p>
      </header>
      {failure && <Failure error={failure} what="the flow" />}
      {catalog && graph.nodes.length === 0 && (
        <p class="muted">
          Nothing flows yet. <a href={href("sql")}>Create a source and a view</a>.
        </p>
      )}
      {catalog && graph.nodes.length > 0 && (
        <>
          <Picture
            graph={graph}
            direction="right"
            label="What feeds what"
            adorn={(node) => adornmentOf(node, catalog, now)}
            chosen={chosen && String(chosen.id)}
            onChoose={choose}
          />
          <ul class="legend" aria-label="Colours">
            {Object.entries(FAMILIES).map(([kind, family]) => (
              <li key={kind} class={family}>
                {kind}
              </li>
            ))}
          </ul>
        </>
      )}
      {chosen && <Detail key={chosen.id} relation={chosen} now={now} catalog={catalog} />}
    </div>
  );
}
