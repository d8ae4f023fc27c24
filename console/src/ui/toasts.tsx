// `Toasts`: what has just been done, said for a moment. It must not know what was done.

import { signal } from "@preact/signals";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_FOR = 5000;

const toasts = signal<Toast[]>([]);
let next = 1;

/** Says `text` for a while. */
export function toast(text: string, bad = false): void {
  const id = next++;
  toasts.value = [...toasts.value, { id, text, bad }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((t) => t.id !== id);
  }, SHOWN_FOR);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, bad }) => (
        <p key={id} class={bad ? "toast bad" : "toast"}>
          {text}
        </p>
      ))}
    </div>
  );
}
