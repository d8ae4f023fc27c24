// `AlertView`: one alert: what it asks, what it sees now, what has become of it. It must not know how statements are
// written.

import { useState } from "preact/hooks";
import { type Alert, readAlert } from "../../api/alerts";
import { asApiError } from "../../api/errors";
import { run } from "../../api/sql";
import { fromNow } from "../../data/format";
import { unsilenceAlert } from "../../sql/alerts";
import { alerts } from "../../state/alerts";
import { usePoll } from "../../state/poll";
import { href } from "../../state/route";
import { Code } from "../../ui/code";
import { Icon } from "../../ui/icon";
import { Failure } from "../../ui/notice";
import { toast } from "../../ui/toasts";
import { type Act, ActDialog } from "./act-dialog";
import { Instances } from "./instances";
import { SeverityMark, StateMark } from "./marks";
import { Timeline } from "./timeline";

const INTERVAL = 3000;

export function AlertView({ alert }: { alert: Alert }) {
  const { value: detail, error, now } = usePoll(String(alert.id), (signal) => readAlert(alert.id, signal), INTERVAL);
  const [act, setAct] = useState<Act>();
  const readAgain = () => {
    now();
    alerts.now();
  };
  const unsilence = (instance: string | undefined) =>
    run(unsilenceAlert(alert, instance)).then(
      () => {
        toast("No longer silenced.");
        readAgain();
      },
      (thrown: unknown) => toast(asApiError(thrown).message, true),
    );
  return (
    <div class="page">
      <header class="page-head alert-bar">
        <h1>{alert.name}</h1>
        <StateMark state={alert.state} />
        <SeverityMark severity={alert.severity} />
        <span class="muted">
          {alert.since && `since ${fromNow(alert.since)}`}
          {alert.silencedUntil && ` · silenced, ends ${fromNow(alert.silencedUntil)}`}
        </span>
        <div class="alert-tools">
          <button type="button" class="button" onClick={() => setAct({ verb: "acknowledge", instance: undefined })}>
            <Icon name="check" /> Acknowledge
          </button>
          {alert.silencedUntil ? (
            <button type="button" class="button" onClick={() => unsilence(undefined)}>
              <Icon name="bell" /> End silence
            </button>
          ) : (
            <button type="button" class="button" onClick={() => setAct({ verb: "silence", instance: undefined })}>
              <Icon name="mute" /> Silence
            </button>
          )}
          <a class="button" href={href("alerts", alert.schema, alert.name, "edit")}>
            <Icon name="edit" /> Edit
          </a>
        </div>
      </header>
      {error && <Failure error={error} what={alert.name} />}
      <section class="panel" aria-labelledby="instances">
        <h2 id="instances">What it sees now</h2>
        {detail && <Instances instances={detail.instances} onAct={setAct} onUnsilence={unsilence} />}
      </section>
      <section class="panel" aria-labelledby="asks">
        <h2 id="asks">What it asks</h2>
        <Code text={alert.query} />
        <dl class="facts">
          <div>
            <dt>Fires after</dt>
            <dd>{alert.hold || "at once"}</dd>
          </div>
          <div>
            <dt>Is told to</dt>
            <dd>{alert.notify.map(({ kind }) => kind).join(", ") || "nobody"}</dd>
          </div>
          <div>
            <dt>Owner</dt>
            <dd>{alert.owner || "–"}</dd>
          </div>
        </dl>
      </section>
      <section class="panel" aria-labelledby="history">
        <h2 id="history">What has become of it</h2>
        {detail && <Timeline history={detail.history} />}
      </section>
      {act && (
        <ActDialog
          alert={alert}
          act={act}
          onDone={() => {
            setAct(undefined);
            readAgain();
          }}
          onCancel={() => setAct(undefined)}
        />
      )}
    </div>
  );
}
