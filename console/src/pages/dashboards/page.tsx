// The Dashboards: all of them, one of them, one being edited. It must not know how each is shown.

import { route } from "../../state/route";
import { Failure } from "../../ui/notice";
import "../../styles/dashboards.css";
import "../../styles/arrange.css";
import { BoardView } from "./board-view";
import { useDashboards, useFollowingAnew } from "./boards";
import { EditBoard } from "./edit-board";
import { BoardList } from "./list";

export default function DashboardsPage() {
  const { value: dashboards, error } = useDashboards();
  useFollowingAnew();
  const [schema, name, mode] = route.value.rest;
  if (schema === "new" && name === undefined) return <EditBoard key="new" known={dashboards ?? []} />;
  if (schema === undefined || name === undefined) return <BoardList dashboards={dashboards} error={error} />;
  const found = dashboards?.find((d) => d.schema === schema && d.name === name);
  const key = `${schema}.${name}`;
  if (found && mode === "edit") return <EditBoard key={key} dashboard={found} known={dashboards ?? []} />;
  if (found) return <BoardView key={key} dashboard={found} isKiosk={mode === "kiosk"} />;
  return (
    <div class="page">
      <h1>{name}</h1>
      {error && <Failure error={error} what="the dashboards" />}
      {dashboards !== undefined && <p class="muted">There is no dashboard {name}, or you may not see it.</p>}
    </div>
  );
}
