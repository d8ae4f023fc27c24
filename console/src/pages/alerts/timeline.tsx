// `Timeline`: what has become of an alert, newest first. It must not know the alert.

import type { Transition } from "../../api/alerts";
import { cell, fromNow } from "../../data/format";
import { StateMark } from "./marks";

const TOLD: Record<string, string> = {
  sent: "told",
  silenced: "not told: silenced",
  failed: "could not be told",
  none: "",
};

export function Timeline({ history }: { history: Transition[] }) {
  if (history.length === 0) return <p class="muted">Nothing yet.</p>;
  return (
    <ol class="timeline">
      {history.map(({ instance, transition, at, row, notified }) => (
        <li key={`${at} ${instance} ${transition}`} class={transition}>
          <time dateTime={at} title={cell(at, "timestamp")}>
            {fromNow(at)}
          </time>
          <span>
            <b>{instance}</b> <StateMark state={transition} />
          </span>
          <span class={notified === "failed" ? "bad" : "muted"}>{TOLD[notified] ?? notified}</span>
          <code class="muted">
            {Object.entries(row)
              .map(([name, value]) => `${name} ${cell(value, "")}`)
              .join(", ")}
          </code>
        </li>
      ))}
    </ol>
  );
}
