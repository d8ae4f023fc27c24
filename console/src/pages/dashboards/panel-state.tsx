// `PanelState`: a dot that says whether a panel is up to date. It must not know what the panel shows.

import type { Shared } from "../../live/shared";

const WORDS = {
  connecting: "connecting",
  live: "live",
  waiting: "connection lost, trying again",
  failed: "ended",
  closed: "ended",
} as const;

export function PanelState({ shared: { state, asked } }: { shared: Shared }) {
  const words =
    asked && state.kind === "live" ? "asked every five seconds: this cannot be followed" : WORDS[state.kind];
  return (
    <span class={`panel-state ${asked ? "asked" : state.kind}`} title={words}>
      <span class="unseen">{words}</span>
    </span>
  );
}
