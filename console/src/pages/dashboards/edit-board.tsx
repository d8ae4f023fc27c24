// `EditBoard`: a dashboard being made or changed, with its panels live. It must not know how panels are moved.

import { useState } from "preact/hooks";
import type { Dashboard } from "../../api/dashboards";
import { type ApiError, asApiError } from "../../api/errors";
import { run } from "../../api/sql";
import { changed, type Editing, undone, withoutPanel, withPanel } from "../../board/draft";
import { freeName, type Panel } from "../../board/panel";
import { createDashboard, dropDashboard, problemOf } from "../../sql/dashboards";
import { go } from "../../state/route";
import { Code } from "../../ui/code";
import { Icon } from "../../ui/icon";
import { Failure, Notice } from "../../ui/notice";
import { toast } from "../../ui/toasts";
import { Arrange } from "./arrange";
import { dashboards, draftKey, drafts } from "./boards";
import { PanelForm } from "./panel-form";

interface Props {
  /** None: a new one. */
  dashboard?: Dashboard;
  known: readonly Dashboard[];
}

function begun(dashboard: Dashboard | undefined): Editing {
  if (!dashboard) return { now: { schema: "public", name: "", title: "", panels: [] }, before: [] };
  const { schema, name, title, panels } = dashboard;
  return { now: { schema, name, title: title === name ? "" : title, panels }, before: [] };
}

export function EditBoard({ dashboard, known }: Props) {
  const key = dashboard ? draftKey(dashboard) : "new";
  const [editing, setEditing] = useState(() => drafts.get(key) ?? begun(dashboard));
  const [form, setForm] = useState<{ panel: Panel | undefined }>();
  const [problem, setProblem] = useState<ApiError | string>();
  const { now, before } = editing;
  const keep = (next: Editing) => {
    setEditing(next);
    drafts.set(key, next);
  };
  const change = (part: Partial<Editing["now"]>, merge = false) => keep(changed(editing, part, merge));

  // A new one is named after its title, as long as there is no other of that name.
  const taken = known.filter(({ schema }) => schema === now.schema).map(({ name }) => name);
  const draft = dashboard ? now : { ...now, name: now.name || (now.title ? freeName(now.title, taken) : "") };
  const leave = () => {
    drafts.delete(key);
    if (dashboard) go("dashboards", dashboard.schema, dashboard.name);
    else go("dashboards");
  };
  const save = async () => {
    const wrong = problemOf(draft);
    if (wrong) return setProblem(wrong);
    try {
      await run(createDashboard(draft, dashboard !== undefined));
    } catch (error) {
      return setProblem(asApiError(error));
    }
    drafts.delete(key);
    dashboards.now();
    toast(`${draft.title || draft.name} is saved.`);
    go("dashboards", draft.schema, draft.name);
  };
  const drop = async () => {
    if (!dashboard || !confirm(`Drop the dashboard ${dashboard.name}? Its panels are gone then; the views stay.`))
      return;
    try {
      await run(dropDashboard(dashboard));
    } catch (error) {
      return setProblem(asApiError(error));
    }
    drafts.delete(key);
    dashboards.now();
    go("dashboards");
  };

  return (
    <div class="board-page">
      <header class="page-head board-bar">
        <h1>{dashboard ? `Edit ${dashboard.title}` : "New dashboard"}</h1>
        <div class="board-tools">
          {dashboard && (
            <button type="button" class="button" onClick={drop}>
              <Icon name="bin" /> Drop
            </button>
          )}
          <button type="button" class="button" disabled={before.length === 0} onClick={() => keep(undone(editing))}>
            <Icon name="replay" /> Undo
          </button>
          <button type="button" class="button" onClick={leave}>
            Discard
          </button>
          <button type="button" class="button primary" onClick={save}>
            Save
          </button>
        </div>
      </header>
      <div class="board-fields">
        <label>
          Title
          <input
            value={now.title}
            placeholder={dashboard?.name ?? ""}
            onInput={({ currentTarget: { value } }) => change({ title: value }, now.title !== "")}
          />
        </label>
        {!dashboard && (
          <label>
            Name
            <input
              value={now.name}
              placeholder={draft.name}
              spellcheck={false}
              onInput={({ currentTarget: { value } }) => change({ name: value.trim() }, now.name !== "")}
            />
          </label>
        )}
        <button type="button" class="button" onClick={() => setForm({ panel: undefined })}>
          <Icon name="plus" /> Add a panel
        </button>
      </div>
      {problem &&
        (typeof problem === "string" ? <Notice kind="bad" title={problem} /> : <Failure error={problem} what="this" />)}
      {now.panels.length === 0 && (
        <p class="muted board-hint">A panel is a query and how its answer is shown. Add the first one.</p>
      )}
      <Arrange
        panels={now.panels}
        onChange={(panels, merge) => change({ panels }, merge)}
        onEdit={(panel) => setForm({ panel })}
        onRemove={({ name }) => change({ panels: withoutPanel(now.panels, name) })}
      />
      {now.panels.length > 0 && (
        <details class="board-sql">
          <summary>The statement that saves it</summary>
          <Code text={createDashboard(draft, dashboard !== undefined)} />
        </details>
      )}
      {form && (
        <PanelForm
          panel={form.panel}
          taken={now.panels.map(({ name }) => name)}
          onDone={(panel) => {
            change({ panels: withPanel(now.panels, panel, form.panel?.name) });
            setForm(undefined);
          }}
          onCancel={() => setForm(undefined)}
        />
      )}
    </div>
  );
}
