// The alerts, asked for once for all who look at them: the page, and the mark beside its name. It must not know pages.

import { useEffect } from "preact/hooks";
import { readAlerts } from "../api/alerts";
import { nowAndThen } from "../api/optional";
import { Poll } from "./poll";

export const alerts = new Poll(readAlerts, nowAndThen);

export function useAlerts() {
  useEffect(() => alerts.use(), []);
  return alerts.state.value;
}

/** How many fire and are not silenced. */
export function useFiring(): number {
  const told = useAlerts().value ?? [];
  return told.filter(({ state, silencedUntil }) => state === "firing" && silencedUntil === null).length;
}
