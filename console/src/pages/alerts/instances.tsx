// `Instances`: the rows that an alert sees, and what can be done about each. It must not know the alert.

import type { Instance } from "../../api/alerts";
import { cell, fromNow } from "../../data/format";
import type { Act } from "./act-dialog";
import { StateMark } from "./marks";

interface Props {
  instances: Instance[];
  onAct: (act: Act) => void;
  onUnsilence: (instance: string) => void;
}

export function Instances({ instances, onAct, onUnsilence }: Props) {
  if (instances.length === 0) return <p class="muted">Nothing is wrong now.</p>;
  const columns = [...new Set(instances.flatMap(({ row }) => Object.keys(row)))];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div class="scroll" tabIndex={0} role="region" aria-label="Instances">
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">Instance</th>
            <th scope="col">State</th>
            <th scope="col">Since</th>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            <th scope="col">Handled</th>
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {instances.map((one) => (
            <tr key={one.instance}>
              <th scope="row">{one.instance}</th>
              <td>
                <StateMark state={one.state} />
              </td>
              <td>{fromNow(one.since)}</td>
              {columns.map((name) => (
                <td key={name} class={typeof one.row[name] === "number" ? "number" : undefined}>
                  {one.row[name] === undefined ? "" : cell(one.row[name], "")}
                </td>
              ))}
              <td>{handled(one)}</td>
              <td class="instance-actions">
                {one.acknowledgedBy === null && (
                  <button
                    type="button"
                    class="button"
                    aria-label={`Acknowledge ${one.instance}`}
                    onClick={() => onAct({ verb: "acknowledge", instance: one.instance })}
                  >
                    Acknowledge
                  </button>
                )}
                {one.silencedUntil === null ? (
                  <button
                    type="button"
                    class="button"
                    aria-label={`Silence ${one.instance}`}
                    onClick={() => onAct({ verb: "silence", instance: one.instance })}
                  >
                    Silence
                  </button>
                ) : (
                  <button
                    type="button"
                    class="button"
                    aria-label={`End silence of ${one.instance}`}
                    onClick={() => onUnsilence(one.instance)}
                  >
                    End silence
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function handled({ acknowledgedBy, acknowledgedAt, silencedUntil }: Instance): string {
  return [
    acknowledgedBy !== null && `by ${acknowledgedBy}, ${fromNow(acknowledgedAt)}`,
    silencedUntil !== null && `silence ends ${fromNow(silencedUntil)}`,
  ]
    .filter(Boolean)
    .join("; ");
}
