// `PanelView`: what a panel shows, and what it says while it has nothing to show. It must not know the grid around it.

import type { ComponentType } from "preact";
import { useMemo } from "preact/hooks";
import { missing } from "../../board/columns";
import { optionsOf, type Panel, type PanelKind, titleOf } from "../../board/panel";
import { tryAgain, useShared } from "../../live/use-shared";
import { Failure, Notice } from "../../ui/notice";
import type { BodyProps } from "./body";
import { HeatPanel } from "./heat-panel";
import { LinePanel } from "./line-panel";
import { MapPanel } from "./map-panel";
import { NumberPanel } from "./number-panel";
import { PanelState } from "./panel-state";
import { TablePanel } from "./table-panel";

const BODIES: Record<PanelKind, ComponentType<BodyProps>> = {
  line: LinePanel,
  area: LinePanel,
  bar: LinePanel,
  number: NumberPanel,
  table: TablePanel,
  heatmap: HeatPanel,
  map: MapPanel,
};

interface Props {
  panel: Panel;
  /** Seconds that are shown, instead of what the panel says. */
  window: number | undefined;
  /** Shows where there is no header that the title is in. */
  headless?: boolean;
}

export function PanelView({ panel, window, headless = false }: Props) {
  const { kind, query, raw } = panel;
  const shared = useShared(query);
  const { table, state } = shared;
  // The catalog is read again and again: what options say counts, not that they are told anew.
  const said = JSON.stringify(raw);
  const options = useMemo(() => optionsOf({ kind, raw }), [kind, said]);
  const title = titleOf(panel);
  const Body = BODIES[kind];
  const absent = missing(table.columns, options);
  return (
    <div class={`panel-view ${kind}`} data-state={state.kind} data-commits={table.commits}>
      {!headless && (
        <header class="panel-head">
          <h2>{title}</h2>
          <PanelState shared={shared} />
        </header>
      )}
      <div class="panel-body">
        {state.kind === "failed" ? (
          <div class="panel-failure">
            <Failure error={state.error} what="this" />
            <button type="button" class="button" onClick={() => tryAgain(query)}>
              Try again
            </button>
          </div>
        ) : table.epoch === undefined ? (
          <p class="panel-note" aria-busy="true">
            Reading…
          </p>
        ) : absent.length > 0 ? (
          <Notice kind="warn" title={`The answer has no column ${absent.join(", ")}.`} />
        ) : (
          <Body
            kind={kind}
            title={title}
            query={query}
            options={options}
            table={table}
            epoch={table.epoch}
            window={window ?? options.window}
          />
        )}
      </div>
    </div>
  );
}
