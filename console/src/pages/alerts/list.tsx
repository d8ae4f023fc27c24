// `AlertList`: all alerts, those that fire first. It must not know one from near.

import type { Alert, AlertState } from "../../api/alerts";
import type { ApiError } from "../../api/errors";
import { count, fromNow } from "../../data/format";
import { href } from "../../state/route";
import { Icon } from "../../ui/icon";
import { Failure, Notice } from "../../ui/notice";
import { SeverityMark, StateMark } from "./marks";

interface Props {
  /** Null: the server knows none; undefined: not told yet. */
  alerts: Alert[] | null | undefined;
  error: ApiError | undefined;
}

const RANK: Record<AlertState, number> = { firing: 0, pending: 1, ok: 2 };

export function AlertList({ alerts, error }: Props) {
  const shown = [...(alerts ?? [])].sort((a, b) => RANK[a.state] - RANK[b.state]);
  return (
    <div class="page">
      <header class="page-head alert-bar">
        <h1>Alerts</h1>
        {alerts && (
          <a class="button primary" href={href("alerts", "new")}>
            <Icon name="plus" /> New alert
          </a>
        )}
      </header>
      {error && <Failure error={error} what="the alerts" />}
      {alerts === null && (
        <Notice
          kind="info"
          title="This server has no alerts."
          detail="A later version has: thalweg_catalog.alerts is missing."
        />
      )}
      {alerts?.length === 0 && (
        <p class="muted">
          There are none yet, or none that you may see. An alert is a query: each of its rows is something that is
          wrong.
        </p>
      )}
      {shown.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <div class="scroll" tabIndex={0} role="region" aria-label="All alerts">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Severity</th>
                <th scope="col">State</th>
                <th scope="col">Since</th>
                <th scope="col" class="number">
                  Pending
                </th>
                <th scope="col" class="number">
                  Firing
                </th>
                <th scope="col">Silenced</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((alert) => (
                <tr key={alert.id}>
                  <th scope="row">
                    <a href={href("alerts", alert.schema, alert.name)}>
                      {alert.schema !== "public" && `${alert.schema}.`}
                      {alert.name}
                    </a>
                  </th>
                  <td>
                    <SeverityMark severity={alert.severity} />
                  </td>
                  <td>
                    <StateMark state={alert.state} />
                  </td>
                  <td>{fromNow(alert.since)}</td>
                  <td class="number">{count(alert.pending)}</td>
                  <td class="number">{count(alert.firing)}</td>
                  <td>{alert.silencedUntil && `ends ${fromNow(alert.silencedUntil)}`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}
