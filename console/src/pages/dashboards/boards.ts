// The dashboards that there are, and those that are being edited. It must not know how they are shown.

import { useEffect, useRef } from "preact/hooks";
import { type Catalog, namesChanged } from "../../api/catalog";
import { type Dashboard, readDashboards } from "../../api/dashboards";
import { nowAndThen } from "../../api/optional";
import { run } from "../../api/sql";
import type { Editing } from "../../board/draft";
import { followAnew } from "../../live/use-shared";
import { notAnExport } from "../../sql/dashboards";
import { Poll } from "../../state/poll";
import { useCatalog } from "../../state/server";

export const dashboards = new Poll(readDashboards, nowAndThen);

export function useDashboards() {
  useEffect(() => dashboards.use(), []);
  return dashboards.state.value;
}

/** A relation that is dropped leaves its followers without a word: the catalog tells. */
export function useFollowingAnew(): void {
  const { value: now } = useCatalog();
  const before = useRef<Catalog>(undefined);
  useEffect(() => {
    if (!now) return;
    if (before.current) followAnew(namesChanged(before.current, now));
    before.current = now;
  }, [now]);
}

/** Drafts outlive leaving the page, though not the tab: by `schema.name`. */
export const drafts = new Map<string, Editing>();

export function draftKey({ schema, name }: Pick<Dashboard, "schema" | "name">): string {
  return `${schema}.${name}`;
}

/** Runs a file that was exported; what else it may hold is refused. */
export async function importFile(file: File): Promise<void> {
  const text = await file.text();
  const problem = notAnExport(text);
  if (problem) throw new Error(problem);
  await run(text);
  dashboards.now();
}
