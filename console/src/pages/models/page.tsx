// The Models: what there is to predict with, and a try. It must not know how predictions are written.

import { useEffect } from "preact/hooks";
import { type Model, readModels } from "../../api/models";
import { nowAndThen } from "../../api/optional";
import { Poll } from "../../state/poll";
import { href, route } from "../../state/route";
import { Failure, Notice } from "../../ui/notice";
import "../../styles/models.css";
import { ModelList } from "./list";
import { ModelView } from "./model-view";
import { Upload } from "./upload";

const models = new Poll(readModels, nowAndThen);

export default function ModelsPage() {
  useEffect(() => models.use(), []);
  const { value: told, error } = models.state.value;
  const [schema, name] = route.value.rest;
  const versions = told?.filter((model) => model.schema === schema && model.name === name) ?? [];
  const [newest] = versions;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{newest?.name ?? "Models"}</h1>
        {name !== undefined && <a href={href("models")}>All models</a>}
      </header>
      {error && <Failure error={error} what="the models" />}
      {newest ? <ModelView key={`${newest.id}`} model={newest} versions={versions} /> : <All told={told} name={name} />}
    </div>
  );
}

/** Null: the server knows none; undefined: not told yet. */
function All({ told, name }: { told: Model[] | null | undefined; name: string | undefined }) {
  if (told === null) {
    const detail = "A later version does: thalweg_catalog.models is missing.";
    return <Notice kind="info" title="This server does not keep models." detail={detail} />;
  }
  if (told === undefined) return <p class="muted">Reading…</p>;
  return (
    <>
      {name !== undefined && <p class="muted">There is no model {name}, or you may not see it.</p>}
      <ModelList models={told} />
      <Upload />
    </>
  );
}
