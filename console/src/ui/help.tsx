// `Help`: the keys, in a dialog. It must not know what they do.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Shortcut } from "../state/keys";
import { Icon } from "./icon";

export const helpIsOpen = signal(false);

const IN_EDITOR = [
  { keys: "Ctrl Enter", does: "Run the statement at the cursor, or what is selected" },
  { keys: "Ctrl Shift Enter", does: "Draw its plan" },
  { keys: "Ctrl Space", does: "Complete" },
  { keys: "Esc Tab", does: "Leave the editor" },
];

const ON_DASHBOARD = [
  { keys: "e", does: "Edit the dashboard" },
  { keys: "f", does: "Full screen; Esc leaves it" },
];

export function Help({ shortcuts }: { shortcuts: Shortcut[] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = helpIsOpen.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const close = () => {
    helpIsOpen.value = false;
  };
  return (
    <dialog ref={dialog} class="help" onClose={close} aria-labelledby="help-title">
      <header>
        <h2 id="help-title">Keyboard</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <dl>
        {[...shortcuts, ...ON_DASHBOARD, ...IN_EDITOR].map(({ keys, does }) => (
          <div>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p class="muted">
        The API: <a href="docs">reference</a>, <a href="metrics">metrics</a>.
      </p>
    </dialog>
  );
}
