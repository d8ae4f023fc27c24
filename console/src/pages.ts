// The pages: a line for each. A page is a file with a default component; it is loaded when it is first opened. It must
// not know what is on them.

import type { ComponentType } from "preact";
import { useFiring } from "./state/alerts";
import type { IconName } from "./ui/icon";

export interface Page {
  /** In the address. */
  name: string;
  title: string;
  /** The key after `g`. */
  key: string;
  icon: IconName;
  /** How many things of it need somebody, asked as a hook. */
  useCount?: () => number;
  load: () => Promise<{ default: ComponentType }>;
}

export const PAGES: readonly Page[] = [
  { name: "overview", title: "Overview", key: "o", icon: "pulse", load: () => import("./pages/overview/page") },
  { name: "sql", title: "SQL", key: "s", icon: "prompt", load: () => import("./pages/sql/page") },
  { name: "flow", title: "Flow", key: "f", icon: "flow", load: () => import("./pages/flow/page") },
  { name: "objects", title: "Objects", key: "b", icon: "layers", load: () => import("./pages/objects/page") },
  { name: "dashboards", title: "Dashboards", key: "d", icon: "board", load: () => import("./pages/dashboards/page") },
  {
    name: "alerts",
    title: "Alerts",
    key: "a",
    icon: "bell",
    useCount: useFiring,
    load: () => import("./pages/alerts/page"),
  },
  { name: "models", title: "Models", key: "m", icon: "model", load: () => import("./pages/models/page") },
];
