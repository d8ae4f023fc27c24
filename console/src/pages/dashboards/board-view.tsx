// `BoardView`: a dashboard, live. It must not know how it is edited.

import { useEffect, useState } from "preact/hooks";
import { type Dashboard, exportDashboard } from "../../api/dashboards";
import { asApiError } from "../../api/errors";
import { place } from "../../board/layout";
import { optionsOf } from "../../board/panel";
import { listen } from "../../state/keys";
import { go, href } from "../../state/route";
import { download } from "../../ui/download";
import { Icon } from "../../ui/icon";
import { toast } from "../../ui/toasts";
import { useKiosk } from "./kiosk";
import { PanelView } from "./panel-view";
import { placeStyle } from "./place-style";

const WINDOWS = [
  { seconds: 60, name: "1 minute" },
  { seconds: 300, name: "5 minutes" },
  { seconds: 900, name: "15 minutes" },
  { seconds: 3600, name: "1 hour" },
  { seconds: 21_600, name: "6 hours" },
  { seconds: 86_400, name: "1 day" },
];

export function BoardView({ dashboard, isKiosk }: { dashboard: Dashboard; isKiosk: boolean }) {
  const { schema, name, title, panels } = dashboard;
  const [window, setWindow] = useState<number>();
  const kiosk = useKiosk(isKiosk, schema, name);
  useEffect(
    () =>
      listen([
        { keys: "e", does: "Edit", run: () => go("dashboards", schema, name, "edit") },
        { keys: "f", does: "Full screen", run: kiosk.enter },
        { keys: "Escape", does: "Leave full screen", run: kiosk.leave },
      ]),
    [schema, name, isKiosk],
  );
  const onExport = () =>
    exportDashboard(dashboard).then(
      (text) => download(`${name}.sql`, text),
      (error: unknown) => toast(asApiError(error).message, true),
    );
  const places = place(panels.map(optionsOf));
  return (
    <div class={isKiosk ? "board-page kiosk" : "board-page"}>
      <header class="page-head board-bar">
        <h1>{title}</h1>
        <div class="board-tools">
          <label class="choice">
            <span class="unseen">Time shown</span>
            <select
              value={window ?? ""}
              onChange={({ currentTarget: { value } }) => setWindow(value === "" ? undefined : Number(value))}
            >
              <option value="">time as each panel says</option>
              {WINDOWS.map(({ seconds, name }) => (
                <option key={seconds} value={seconds}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          {isKiosk ? (
            <button type="button" class="button" onClick={kiosk.leave} title="Leave full screen (Esc)">
              <Icon name="close" /> Leave
            </button>
          ) : (
            <>
              <button type="button" class="button" onClick={onExport}>
                <Icon name="down" /> Export
              </button>
              <button type="button" class="button" onClick={kiosk.enter} title="Full screen (f)">
                <Icon name="expand" /> Full screen
              </button>
              <a class="button" href={href("dashboards", schema, name, "edit")} title="Edit (e)">
                <Icon name="edit" /> Edit
              </a>
            </>
          )}
        </div>
      </header>
      {panels.length === 0 && <p class="muted">It has no panels.</p>}
      <div class="board">
        {panels.map((panel, i) => (
          <section key={panel.name} class="board-panel" style={placeStyle(places[i], i)} aria-label={panel.name}>
            <PanelView panel={panel} window={window} />
          </section>
        ))}
      </div>
    </div>
  );
}
