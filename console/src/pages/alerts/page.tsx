// The Alerts: all of them, one of them, one being made. It must not know how each is shown.

import { useAlerts } from "../../state/alerts";
import { route } from "../../state/route";
import { Failure } from "../../ui/notice";
import "../../styles/alerts.css";
import { AlertForm } from "./alert-form";
import { AlertView } from "./alert-view";
import { AlertList } from "./list";

export default function AlertsPage() {
  const { value: alerts, error } = useAlerts();
  const [schema, name, mode] = route.value.rest;
  if (schema === "new" && name === undefined) return <AlertForm key="new" />;
  if (schema === undefined || name === undefined) return <AlertList alerts={alerts} error={error} />;
  const found = alerts?.find((alert) => alert.schema === schema && alert.name === name);
  if (found && mode === "edit") return <AlertForm key={found.id} alert={found} />;
  if (found) return <AlertView key={found.id} alert={found} />;
  return (
    <div class="page">
      <h1>{name}</h1>
      {error && <Failure error={error} what="the alerts" />}
      {alerts !== undefined && <p class="muted">There is no alert {name}, or you may not see it.</p>}
    </div>
  );
}
