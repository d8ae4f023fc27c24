// The keyboard: single keys, and `g` followed by one. Keys that go into a field are left alone. It must not know what the
// keys do.

export interface Shortcut {
  /** `?`, or two keys as `g o`. */
  keys: string;
  does: string;
  run: () => void;
}

/** How long after the first key the second counts. */
const PATIENCE = 1200;

function goesIntoField(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

/** Listens until the function that is returned is called. */
export function listen(shortcuts: Shortcut[]): () => void {
  let first = "";
  let at = 0;
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || goesIntoField(event)) return;
    const both = event.timeStamp - at < PATIENCE ? `${first} ${event.key}` : "";
    const found = shortcuts.find((s) => s.keys === both) ?? shortcuts.find((s) => s.keys === event.key);
    first = event.key;
    at = event.timeStamp;
    if (!found) return;
    event.preventDefault();
    first = "";
    found.run();
  };
  addEventListener("keydown", onKey);
  return () => removeEventListener("keydown", onKey);
}
