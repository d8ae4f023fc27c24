// `ObjectView`: one object, by what there is to know of its kind. It must not know how rows are followed.

import { useEffect, useState } from "preact/hooks";
import { type Catalog, createStatement, type Relation } from "../../api/catalog";
import { type ApiError, asApiError } from "../../api/errors";
import { counted } from "../../data/format";
import { href } from "../../state/route";
import { Code } from "../../ui/code";
import { Failure, Notice } from "../../ui/notice";
import { Tabs } from "../../ui/tabs";
import { DeadLetters } from "./dead-letters";
import { Delivery } from "./delivery";
import { Quality } from "./quality";
import { Rows } from "./rows";

export function ObjectView({ relation, catalog }: { relation: Relation; catalog: Catalog }) {
  const job = catalog.jobs.find(({ name }) => name === relation.name);
  const rows = catalog.rows.get(relation.id);
  const expectations = catalog.expectations.filter((e) => e.relation === relation.id);
  const tabs = [
    ...(relation.kind === "sink"
      ? [{ title: "Delivery", content: () => <Delivery relation={relation} /> }]
      : [{ title: "Rows", content: () => <Rows relation={relation} size={rows} /> }]),
    { title: "Columns", content: () => <Columns relation={relation} /> },
    ...(expectations.length > 0
      ? [{ title: "Quality", content: () => <Quality relation={relation} expectations={expectations} /> }]
      : []),
    ...(relation.kind === "source"
      ? [{ title: "Dead letters", content: () => <DeadLetters relation={relation} /> }]
      : []),
    { title: "Definition", content: () => <Definition relation={relation} catalog={catalog} /> },
  ];
  return (
    <article class="object" aria-labelledby="object">
      <header class="page-head">
        <a class="objects-back" href={href("objects")}>
          All objects
        </a>
        <h2 id="object">{relation.name}</h2>
        <span class="muted">
          {relation.kind}
          {relation.schema !== "public" && ` in ${relation.schema}`}
          {rows !== undefined && relation.kind !== "source" && `, ${counted(rows, "row")}`}
          {job && `, ${job.state}`}
        </span>
        <a href={href("flow", relation.name)}>Show in the flow</a>
      </header>
      {relation.comment && <p>{relation.comment}</p>}
      {job?.error && <Notice kind="bad" title={`${relation.name} is ${job.state}`} detail={job.error} />}
      <Tabs label={`Parts of ${relation.name}`} tabs={tabs} />
    </article>
  );
}

function Columns({ relation }: { relation: Relation }) {
  if (relation.columns.length === 0) return <p class="muted">The catalog tells no columns of it.</p>;
  return (
    <div class="scroll">
      <table class="plain columns">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Type</th>
            <th scope="col">Key</th>
          </tr>
        </thead>
        <tbody>
          {relation.columns.map(({ name, type, isKey }) => (
            <tr key={name}>
              <th scope="row">
                <code>{name}</code>
              </th>
              <td>{type}</td>
              <td>{isKey ? "primary key" : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Definition({ relation, catalog }: { relation: Relation; catalog: Catalog }) {
  const [found, setFound] = useState<{ text?: string; error?: ApiError }>({});
  useEffect(() => {
    createStatement(relation).then(
      (text) => setFound({ text }),
      (error: unknown) => setFound({ error: asApiError(error) }),
    );
  }, [relation.id]);
  const named = (ids: number[]) => catalog.relations.filter(({ id }) => ids.includes(id));
  const reads = named(catalog.depends.filter(({ id }) => id === relation.id).map(({ on }) => on));
  const readBy = named(catalog.depends.filter(({ on }) => on === relation.id).map(({ id }) => id));
  return (
    <>
      {found.error && <Failure error={found.error} what="its definition" />}
      {found.text && <Code text={found.text} />}
      <dl class="facts">
        <Named title="Reads" relations={reads} />
        <Named title="Is read by" relations={readBy} />
      </dl>
    </>
  );
}

function Named({ title, relations }: { title: string; relations: Relation[] }) {
  if (relations.length === 0) return null;
  return (
    <div>
      <dt>{title}</dt>
      <dd class="named">
        {relations.map(({ id, schema, name }) => (
          <a key={id} href={href("objects", schema, name)}>
            {name}
          </a>
        ))}
      </dd>
    </div>
  );
}
