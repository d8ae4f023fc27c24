// `Try`: values in, a prediction out. It must not know other parts of the page.

import { useState } from "preact/hooks";
import { type ApiError, asApiError } from "../../api/errors";
import type { Json } from "../../api/json";
import type { Model } from "../../api/models";
import { run } from "../../api/sql";
import { cell, shortType } from "../../data/format";
import { predict } from "../../sql/models";
import { Code } from "../../ui/code";
import { Failure, Notice } from "../../ui/notice";

export function Try({ model }: { model: Model }) {
  const [typed, setTyped] = useState<string[]>(() => model.inputs.map(() => ""));
  const [answer, setAnswer] = useState<{ value?: Json; error?: ApiError; wrong?: string }>();
  const asked = predict(model, model.inputs, typed);
  const submit = async (event: Event) => {
    event.preventDefault();
    if ("wrong" in asked) {
      const { name, type } = asked.wrong;
      return setAnswer({ wrong: `${name} should be a value of type ${shortType(type)}, or null.` });
    }
    try {
      const [told] = await run(asked.sql);
      setAnswer({ value: told?.rows[0]?.[0] ?? null });
    } catch (error) {
      setAnswer({ error: asApiError(error) });
    }
  };
  return (
    <form class="form wide" onSubmit={submit}>
      <div class="form-row">
        {model.inputs.map(({ name, type }, i) => (
          <label key={name}>
            {name} ({shortType(type)})
            <input
              value={typed[i] ?? ""}
              onInput={({ currentTarget: { value } }) => setTyped(typed.map((old, at) => (at === i ? value : old)))}
            />
          </label>
        ))}
        <button type="submit" class="button primary">
          Predict
        </button>
      </div>
      {answer?.wrong && <Notice kind="warn" title={answer.wrong} />}
      {answer?.error && <Failure error={answer.error} what="this" />}
      {answer?.value !== undefined && (
        <p class="prediction" role="status">
          {cell(answer.value, "")}
        </p>
      )}
      {"sql" in asked && <Code text={asked.sql} />}
    </form>
  );
}
