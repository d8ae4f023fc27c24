// The SQL page: statements, and what they lead to. It must not know the editor's insides.

import { useEffect, useRef, useState } from "preact/hooks";
import { useCatalog } from "../../state/server";
import { Icon } from "../../ui/icon";
import "../../styles/sql.css";
import type { Chosen, Editor } from "../../ui/editor";
import { EditorPane } from "../../ui/editor-pane";
import { keepLive, keepText, keptLive, keptText } from "./keep";
import { execute, explain, type Outcome } from "./outcome";
import { Results } from "./results";

export default function SqlPage() {
  useCatalog();
  const editor = useRef<Editor>(null);
  const running = useRef<AbortController>(undefined);
  /** Where what is run begins in the editor. */
  const began = useRef(0);
  const [outcome, setOutcome] = useState<{ id: number; outcome: Outcome }>();
  const [busy, setBusy] = useState(false);
  const [live, setLive] = useState(keptLive);
  useEffect(() => () => running.current?.abort(), []);

  const mark = (at: number | undefined) => editor.current?.mark(at === undefined ? undefined : began.current + at);
  const begin = async (how: (chosen: Chosen, signal: AbortSignal) => Promise<Outcome>) => {
    const chosen = editor.current?.chosen();
    if (!chosen) return;
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    began.current = chosen.from;
    editor.current?.mark(undefined);
    setBusy(true);
    const found = await how(chosen, abort.signal);
    if (abort.signal.aborted) return;
    setBusy(false);
    setOutcome({ id: Date.now(), outcome: found });
    if (found.kind === "failed") mark(found.at);
  };
  const onRun = () => begin(({ text }, signal) => execute(text, live, signal));
  const onExplain = () => begin(({ text }, signal) => explain(text, signal));
  const stop = () => {
    running.current?.abort();
    setBusy(false);
    if (outcome?.outcome.kind === "live") setOutcome(undefined);
  };
  const stoppable = busy || outcome?.outcome.kind === "live";

  return (
    <div class="sql-page">
      <h1 class="unseen">SQL</h1>
      <div class="toolbar">
        <button type="button" class="button primary" onClick={onRun} title="Ctrl Enter">
          <Icon name="play" /> Run
        </button>
        <button type="button" class="button" onClick={onExplain} title="Ctrl Shift Enter">
          <Icon name="branch" /> Explain
        </button>
        <button type="button" class="button" onClick={stop} disabled={!stoppable}>
          <Icon name="stop" /> Stop
        </button>
        <label class="switch" title="Results stay up to date">
          <input
            type="checkbox"
            role="switch"
            aria-checked={live}
            checked={live}
            onChange={(event) => {
              setLive(event.currentTarget.checked);
              keepLive(event.currentTarget.checked);
            }}
          />
          Live
        </label>
        <span class="toolbar-note" aria-live="polite">
          {busy && "Running…"}
        </span>
      </div>
      <EditorPane editor={editor} text={keptText()} onChange={keepText} onRun={onRun} onExplain={onExplain} />
      <div class="results">
        <Results key={outcome?.id} outcome={outcome?.outcome} onFailed={mark} />
      </div>
    </div>
  );
}
