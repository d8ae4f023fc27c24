// A shared live table for a component, shown anew at most once a frame. It must not know pages.

import { useEffect, useState } from "preact/hooks";
import { run } from "../api/sql";
import { LiveTable } from "../data/rows";
import { follow } from "./follow";
import { inFrame, notInFrame } from "./frames";
import { type Shared, Shares } from "./shared";

const shares = new Shares({
  follow,
  ask: async (query) => (await run(query)).at(-1),
  later(milliseconds, then) {
    const timer = setTimeout(then, milliseconds);
    return () => clearTimeout(timer);
  },
  now: Date.now,
  inFrame,
  notInFrame,
});

/** Before anything is told. */
const NOTHING: Shared = { table: new LiveTable(), state: { kind: "connecting" }, at: undefined, asked: false };

/** Tries a query that has failed again. */
export function tryAgain(query: string): void {
  shares.again(query);
}

/** Follows what names one of these relations anew. */
export function followAnew(names: readonly string[]): void {
  shares.anew(names);
}

/** The answer of `query`, if there is one, kept up to date; with others that show the same query it is followed once. */
export function useShared(query: string | undefined): Shared {
  const [shown, setShown] = useState<{ query: string; shared: Shared }>();
  useEffect(
    () => (query === undefined ? undefined : shares.use(query, (shared) => setShown({ query, shared }))),
    [query],
  );
  return shown && shown.query === query ? shown.shared : NOTHING;
}
