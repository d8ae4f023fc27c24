// A live table for a component: followed while it is there, shown anew at most once a frame. It must not know pages.

import { useEffect, useState } from "preact/hooks";
import { LiveTable } from "../data/rows";
import { follow } from "./follow";
import { inFrame, notInFrame } from "./frames";
import type { Commit } from "./protocol";
import type { LiveState } from "./subscription";

export interface Live {
  table: LiveTable;
  state: LiveState;
  /** When the last commit was taken, by the browser's clock. */
  at: number | undefined;
}

/** The answer of `query`, kept up to date. */
export function useLive(query: string): Live {
  const [live, setLive] = useState<Live>(() => ({
    table: new LiveTable(),
    state: { kind: "connecting" },
    at: undefined,
  }));
  useEffect(() => {
    const table = new LiveTable();
    const commits: Commit[] = [];
    let state: LiveState = { kind: "connecting" };
    let at: number | undefined;
    const show = () => {
      if (commits.length > 0) at = Date.now();
      for (const commit of commits.splice(0)) table.apply(commit);
      setLive({ table, state, at });
    };
    const end = follow(query, {
      commit: (commit) => {
        commits.push(commit);
        inFrame(show);
      },
      state: (now) => {
        state = now;
        inFrame(show);
      },
    });
    return () => {
      notInFrame(show);
      end();
      notInFrame(show);
    };
  }, [query]);
  return live;
}
