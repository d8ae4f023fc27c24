// `PanelForm`: one panel, with what it will look like beside it. It must not know the dashboard.

import { useEffect, useRef, useState } from "preact/hooks";
import { KIND_NAMES } from "../../board/fields";
import { freeName, KINDS, type Panel, type PanelKind, titleOf, withOption } from "../../board/panel";
import { notOneQuery } from "../../sql/write";
import type { Editor } from "../../ui/editor";
import { EditorPane } from "../../ui/editor-pane";
import { OptionFields } from "./option-fields";
import { PanelView } from "./panel-view";

interface Props {
  /** None: a new one. */
  panel: Panel | undefined;
  /** Names of the panels that there are. */
  taken: readonly string[];
  onDone: (panel: Panel) => void;
  onCancel: () => void;
}

/** The preview waits for the typing to pause. */
const PAUSE = 700;

const FRESH: Panel = { name: "", kind: "line", query: "", raw: {} };

export function PanelForm({ panel, taken, onDone, onCancel }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const editor = useRef<Editor>(null);
  const [draft, setDraft] = useState(panel ?? FRESH);
  const [query, setQuery] = useState(draft.query);
  const [problem, setProblem] = useState<string>();
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    const timer = setTimeout(() => setQuery(draft.query), PAUSE);
    return () => clearTimeout(timer);
  }, [draft.query]);
  const showNow = () => setQuery(draft.query);
  const set = (part: Partial<Panel>) => setDraft((now) => ({ ...now, ...part }));
  const setOption = (key: string, value: string) =>
    setDraft((now) => ({ ...now, raw: withOption(now.raw, key, value) }));
  const done = (event: Event) => {
    event.preventDefault();
    const wrong = notOneQuery(draft.query);
    if (wrong) return setProblem(wrong);
    onDone({ ...draft, name: draft.name || freeName(draft.raw.title ?? KIND_NAMES[draft.kind], taken) });
  };
  const shown: Panel = { ...draft, query, name: draft.name || "preview" };
  const isReady = notOneQuery(query) === undefined;
  return (
    <dialog ref={dialog} class="panel-form" onClose={onCancel} aria-labelledby="panel-form-title">
      <form onSubmit={done}>
        <header>
          <h2 id="panel-form-title">{panel ? `Edit ${titleOf(panel)}` : "Add a panel"}</h2>
          <div class="board-tools">
            <button type="button" class="button" onClick={onCancel}>
              Cancel
            </button>
            <button type="submit" class="button primary">
              {panel ? "Apply" : "Add"}
            </button>
          </div>
        </header>
        <div class="panel-form-fields">
          <div class="field-row">
            <label>
              Title
              <input
                value={draft.raw.title ?? ""}
                placeholder={panel ? titleOf({ ...panel, raw: {} }) : ""}
                onInput={({ currentTarget: { value } }) => setOption("title", value)}
              />
            </label>
            <label>
              Shown as
              <select value={draft.kind} onChange={({ currentTarget: { value } }) => set({ kind: value as PanelKind })}>
                {KINDS.map((kind) => (
                  <option key={kind} value={kind}>
                    {KIND_NAMES[kind]}
                  </option>
                ))}
              </select>
            </label>
          </div>
          <EditorPane
            editor={editor}
            text={draft.query}
            onChange={(text) => set({ query: text })}
            onRun={showNow}
            onExplain={showNow}
          />
          {problem && (
            <p class="bad" role="alert">
              {problem}
            </p>
          )}
          <OptionFields panel={shown} onChange={setOption} />
        </div>
        <section class="panel-preview" aria-label="Preview">
          {isReady ? (
            <PanelView panel={shown} window={undefined} />
          ) : (
            <p class="panel-note">What the query answers is shown here while you write.</p>
          )}
        </section>
      </form>
    </dialog>
  );
}
