// The Objects: what the server holds, to look into. It must not know how each is looked into.

import { useState } from "preact/hooks";
import { type Catalog, quarantineOf, type Relation } from "../../api/catalog";
import { count } from "../../data/format";
import { href, route } from "../../state/route";
import { useCatalog } from "../../state/server";
import { Failure } from "../../ui/notice";
import "../../styles/objects.css";
import { isAside } from "../flow/graph";
import { ObjectView } from "./object";

const GROUPS: readonly { kind: Relation["kind"]; title: string }[] = [
  { kind: "source", title: "Sources" },
  { kind: "table", title: "Tables" },
  { kind: "view", title: "Views" },
  { kind: "materialized view", title: "Materialized views" },
  { kind: "sink", title: "Sinks" },
];

export default function ObjectsPage() {
  const { value: catalog, error } = useCatalog();
  const [wanted, setWanted] = useState("");
  const [schema, name] = route.value.rest;
  const chosen = catalog?.relations.find((r) => r.schema === schema && r.name === name);
  const listed =
    catalog?.relations.filter((r) => !isAside(r) && r.name.toLowerCase().includes(wanted.toLowerCase())) ?? [];
  return (
    <div class={name === undefined ? "objects-page" : "objects-page has-chosen"}>
      <aside class="objects-list" aria-label="Objects">
        <h1>Objects</h1>
        <input
          type="search"
          placeholder="Find by name"
          aria-label="Find by name"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
        {error && <Failure error={error} what="the catalog" />}
        {catalog && listed.length === 0 && (
          <p class="muted">
            {wanted === ""
              ? "Nothing has been created yet, or nothing that you may see. "
              : "No object has this in its name."}
            {wanted === "" && <a href={href("sql")}>Create something</a>}
          </p>
        )}
        {GROUPS.map(({ kind, title }) => {
          const group = listed.filter((relation) => relation.kind === kind);
          if (group.length === 0) return null;
          return (
            <nav key={kind} aria-label={title}>
              <h2>{title}</h2>
              {group.map((relation) => (
                <a
                  key={relation.id}
                  href={href("objects", relation.schema, relation.name)}
                  aria-current={relation === chosen ? "page" : undefined}
                >
                  <span class="objects-name">
                    {relation.schema !== "public" && <span class="muted">{relation.schema}.</span>}
                    {relation.name}
                  </span>
                  <Signs relation={relation} catalog={catalog} />
                </a>
              ))}
            </nav>
          );
        })}
      </aside>
      <div class="objects-view">
        {catalog && chosen && <ObjectView key={chosen.id} relation={chosen} catalog={catalog} />}
        {catalog && name !== undefined && !chosen && <p class="muted">There is no {name}, or you may not see it.</p>}
        {name === undefined && (
          <p class="muted objects-hint">Choose an object to see its columns and its rows as they change.</p>
        )}
      </div>
    </div>
  );
}

/** What is worth knowing before opening it. */
function Signs({ relation, catalog }: { relation: Relation; catalog: Catalog | undefined }) {
  const aside = catalog?.relations.find(
    (r) => quarantineOf(relation) === `"${r.name}"` && r.schema === relation.schema,
  );
  const set = aside && catalog?.rows.get(aside.id);
  const rows = catalog?.rows.get(relation.id);
  const job = catalog?.jobs.find((j) => j.name === relation.name);
  if (job?.error) return <span class="tag bad">{job.state}</span>;
  if (set) return <span class="tag warn">{count(set)} set aside</span>;
  return <span class="muted">{rows === undefined || relation.kind === "source" ? "" : count(rows)}</span>;
}
