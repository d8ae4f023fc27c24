// `AlertForm`: an alert being made or changed, as the statement that makes it. It must not know how it is shown later.

import { useRef, useState } from "preact/hooks";
import type { Alert } from "../../api/alerts";
import { type ApiError, asApiError } from "../../api/errors";
import { run } from "../../api/sql";
import { type AlertDraft, alertProblem, createAlert, SEVERITIES, type Severity } from "../../sql/alerts";
import { alerts } from "../../state/alerts";
import { go, href } from "../../state/route";
import { useCatalog } from "../../state/server";
import { Code } from "../../ui/code";
import type { Editor } from "../../ui/editor";
import { EditorPane } from "../../ui/editor-pane";
import { Failure, Notice } from "../../ui/notice";
import { toast } from "../../ui/toasts";
import { Channels } from "./channels";

const FRESH: AlertDraft = {
  schema: "public",
  name: "",
  query: "",
  hold: "2 minutes",
  severity: "warning",
  notify: [{ kind: "log", options: {} }],
};

export function AlertForm({ alert }: { alert?: Alert }) {
  useCatalog();
  const editor = useRef<Editor>(null);
  const [draft, setDraft] = useState<AlertDraft>(alert ?? FRESH);
  const [problem, setProblem] = useState<ApiError | string>();
  const set = (part: Partial<AlertDraft>) => setDraft((now) => ({ ...now, ...part }));
  const save = async () => {
    const wrong = alertProblem(draft);
    if (wrong) return setProblem(wrong);
    try {
      await run(createAlert(draft, alert !== undefined));
    } catch (error) {
      return setProblem(asApiError(error));
    }
    alerts.now();
    toast(`${draft.name} is ${alert ? "changed" : "created"}.`);
    go("alerts", draft.schema, draft.name);
  };
  return (
    <div class="page">
      <h1>{alert ? `Edit ${alert.name}` : "New alert"}</h1>
      <form
        class="form wide"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <div class="form-row">
          {!alert && (
            <label>
              Name
              <input
                value={draft.name}
                spellcheck={false}
                onInput={({ currentTarget: { value } }) => set({ name: value.trim() })}
              />
            </label>
          )}
          <label>
            Severity
            <select
              value={draft.severity}
              onChange={({ currentTarget: { value } }) => set({ severity: value as Severity })}
            >
              {SEVERITIES.map((severity) => (
                <option key={severity}>{severity}</option>
              ))}
            </select>
          </label>
          <label>
            Fires after
            <input
              value={draft.hold}
              placeholder="at once"
              onInput={({ currentTarget: { value } }) => set({ hold: value })}
            />
          </label>
        </div>
        <div>
          <p class="form-label">Each row of this query is something that is wrong:</p>
          <EditorPane
            editor={editor}
            text={draft.query}
            onChange={(query) => set({ query })}
            onRun={save}
            onExplain={() => undefined}
          />
        </div>
        <Channels notify={draft.notify} onChange={(notify) => set({ notify })} />
        {problem &&
          (typeof problem === "string" ? (
            <Notice kind="bad" title={problem} />
          ) : (
            <Failure error={problem} what="this" />
          ))}
        <div class="form-end">
          <a class="button" href={alert ? href("alerts", alert.schema, alert.name) : href("alerts")}>
            Cancel
          </a>
          <button type="submit" class="button primary">
            {alert ? "Save" : "Create"}
          </button>
        </div>
      </form>
      <section class="panel" aria-labelledby="statement">
        <h2 id="statement">As SQL</h2>
        <Code text={createAlert(draft, alert !== undefined)} />
      </section>
    </div>
  );
}
