// `Jobs`: what runs, and how much. It must not know how figures are made.

import type { Catalog } from "../../api/catalog";
import type { Figures } from "../../data/figures";
import { bytes, count } from "../../data/format";
import { href } from "../../state/route";
import { inflow, isAside } from "../flow/graph";

export function Jobs({ now, catalog }: { now: Figures | undefined; catalog: Catalog | undefined }) {
  const relations = new Map(catalog?.relations.map((relation) => [relation.name, relation]));
  const jobs = catalog?.jobs.filter(({ name }) => !isAside({ name })) ?? [];
  return (
    <section class="panel" aria-labelledby="jobs">
      <h2 id="jobs">Jobs</h2>
      {jobs.length === 0 ? (
        <p class="muted">
          Nothing runs yet. <a href={href("sql")}>Create a source and a view</a>.
        </p>
      ) : (
        <div class="scroll">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  In/s
                </th>
                <th scope="col" class="number">
                  Out/s
                </th>
                <th scope="col" class="number">
                  State
                </th>
              </tr>
            </thead>
            <tbody>
              {jobs.map(({ name, state }) => {
                const job = now?.jobs.get(name);
                const relation = relations.get(name);
                const slow = now?.bottleneck === name;
                return (
                  <tr key={name}>
                    <th scope="row">
                      <a href={href("flow", name)}>{name}</a> <small class="muted">{relation?.kind ?? "query"}</small>
                    </th>
                    <td class={state === "live" ? "good" : "warn"}>
                      {state}
                      {slow && <span class="tag warn">bottleneck</span>}
                    </td>
                    <td class="number">
                      {count(catalog && relation ? inflow(relation.id, catalog, now) : job?.rowsIn)}
                    </td>
                    <td class="number">{count(job?.rowsOut)}</td>
                    <td class="number">{bytes(job?.stateBytes)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
