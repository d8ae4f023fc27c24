// `ActDialog`: silencing or acknowledging, with how long and why. It must not know how statements are written.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Alert } from "../../api/alerts";
import { type ApiError, asApiError } from "../../api/errors";
import { run } from "../../api/sql";
import { acknowledgeAlert, silenceAlert } from "../../sql/alerts";
import { Failure } from "../../ui/notice";
import { toast } from "../../ui/toasts";

export interface Act {
  verb: "silence" | "acknowledge";
  /** None: the whole alert. */
  instance: string | undefined;
}

interface Props {
  alert: Alert;
  act: Act;
  onDone: () => void;
  onCancel: () => void;
}

const SPANS = ["15 minutes", "1 hour", "4 hours", "1 day", "7 days"];

export function ActDialog({ alert, act: { verb, instance }, onDone, onCancel }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [span, setSpan] = useState("1 hour");
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<ApiError>();
  useEffect(() => dialog.current?.showModal(), []);
  const silences = verb === "silence";
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await run(silences ? silenceAlert(alert, instance, span, reason) : acknowledgeAlert(alert, instance, reason));
    } catch (error) {
      return setProblem(asApiError(error));
    }
    toast(silences ? `Silenced for ${span}.` : "Acknowledged.");
    onDone();
  };
  const what = instance === undefined ? alert.name : `${instance} of ${alert.name}`;
  return (
    <dialog ref={dialog} class="act" onClose={onCancel} aria-labelledby="act-title">
      <form class="form" onSubmit={submit}>
        <h2 id="act-title">{silences ? `Silence ${what}` : `Acknowledge ${what}`}</h2>
        <p class="muted">
          {silences
            ? "Nobody is told of it for that long; it still fires, and is seen here."
            : "It says that somebody sees to it."}
        </p>
        {silences && (
          <label>
            For
            <select value={span} onChange={({ currentTarget: { value } }) => setSpan(value)}>
              {SPANS.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <label>
          Reason
          <input value={reason} onInput={({ currentTarget: { value } }) => setReason(value)} />
        </label>
        {problem && <Failure error={problem} what="this" />}
        <div class="form-end">
          <button type="button" class="button" onClick={onCancel}>
            Cancel
          </button>
          <button type="submit" class="button primary">
            {silences ? "Silence" : "Acknowledge"}
          </button>
        </div>
      </form>
    </dialog>
  );
}
