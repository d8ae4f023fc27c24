// `BoardList`: all dashboards, and the ways to more. It must not know what is on them.

import { useRef, useState } from "preact/hooks";
import type { Dashboard } from "../../api/dashboards";
import { type ApiError, asApiError } from "../../api/errors";
import { place, rowsOf } from "../../board/layout";
import { COLUMNS, optionsOf } from "../../board/panel";
import { counted } from "../../data/format";
import { href } from "../../state/route";
import { Icon } from "../../ui/icon";
import { Failure, Notice } from "../../ui/notice";
import { toast } from "../../ui/toasts";
import { importFile } from "./boards";

interface Props {
  /** Null: the server knows none; undefined: not told yet. */
  dashboards: Dashboard[] | null | undefined;
  error: ApiError | undefined;
}

export function BoardList({ dashboards, error }: Props) {
  return (
    <div class="page">
      <header class="page-head board-bar">
        <h1>Dashboards</h1>
        {dashboards && (
          <div class="board-tools">
            <Import />
            <a class="button primary" href={href("dashboards", "new")}>
              <Icon name="plus" /> New dashboard
            </a>
          </div>
        )}
      </header>
      {error && <Failure error={error} what="the dashboards" />}
      {dashboards === null && (
        <Notice
          kind="info"
          title="This server does not keep dashboards."
          detail="A later version does: thalweg_catalog.dashboards is missing."
        />
      )}
      {dashboards?.length === 0 && (
        <p class="muted">
          There are none yet, or none that you may see. A dashboard shows queries as they change: lines, numbers,
          tables, maps.
        </p>
      )}
      {dashboards && dashboards.length > 0 && (
        <ul class="board-list">
          {dashboards.map((dashboard) => (
            <li key={dashboard.id}>
              <a href={href("dashboards", dashboard.schema, dashboard.name)}>
                <Sketch dashboard={dashboard} />
                <h2>{dashboard.title}</h2>
                <p class="muted">
                  {dashboard.schema !== "public" && `${dashboard.schema}.`}
                  {dashboard.name} · {counted(dashboard.panels.length, "panel")}
                </p>
              </a>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** Where its panels are, seen from afar. */
function Sketch({ dashboard: { panels } }: { dashboard: Dashboard }) {
  const places = place(panels.map(optionsOf));
  const rows = Math.min(Math.max(rowsOf(places), 6), 12);
  return (
    <svg
      class="sketch"
      viewBox={`0 0 ${COLUMNS * 10} ${rows * 6}`}
      preserveAspectRatio="xMidYMin slice"
      aria-hidden="true"
    >
      {places.map(({ column, row, width, height }, i) => (
        <rect
          key={panels[i]?.name}
          class={panels[i]?.kind}
          x={column * 10 + 1}
          y={row * 6 + 1}
          width={width * 10 - 2}
          height={height * 6 - 2}
          rx="1"
        />
      ))}
    </svg>
  );
}

function Import() {
  const input = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<ApiError>();
  const take = async (file: File | undefined) => {
    if (!file) return;
    setProblem(undefined);
    try {
      await importFile(file);
      toast(`${file.name} is imported.`);
    } catch (error) {
      setProblem(asApiError(error));
    }
    if (input.current) input.current.value = "";
  };
  return (
    <>
      {problem && <Failure error={problem} what="this" />}
      <input
        ref={input}
        type="file"
        accept=".sql,text/plain,application/sql"
        class="unseen"
        tabIndex={-1}
        aria-label="A file to import"
        onChange={({ currentTarget }) => take(currentTarget.files?.[0])}
      />
      <button type="button" class="button" onClick={() => input.current?.click()}>
        <Icon name="up" /> Import
      </button>
    </>
  );
}
