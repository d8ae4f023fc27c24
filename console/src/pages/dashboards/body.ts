// What each kind of panel is given to show. It must not know how it is shown.

import type { PanelKind, PanelOptions } from "../../board/panel";
import type { LiveTable } from "../../data/rows";

export interface BodyProps {
  kind: PanelKind;
  title: string;
  query: string;
  options: PanelOptions;
  table: LiveTable;
  /** The table is changed in place; this says that it was. */
  epoch: number | undefined;
  /** Seconds that are shown of what has times. */
  window: number | undefined;
}

/** Seconds of the past that are kept where nothing is said. */
export const USUAL_WINDOW = 300;
