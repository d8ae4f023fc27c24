// `LiveBadge`: whether what is shown is up to date. It must not know what is shown.

import type { LiveState } from "../live/subscription";

const WORDS: Record<LiveState["kind"], string> = {
  connecting: "connecting",
  live: "live",
  waiting: "connection lost, trying again",
  failed: "ended",
  closed: "ended",
};

export function LiveBadge({ state, at }: { state: LiveState; at?: number | undefined }) {
  const since =
    state.kind === "waiting" && at !== undefined ? `, as of ${new Date(at).toLocaleTimeString("en-GB")}` : "";
  return (
    <span class={`live-badge ${state.kind}`} role="status">
      {WORDS[state.kind]}
      {since}
    </span>
  );
}
