// `Figure`: one number that matters, what it is, and how it went. It must not know where it is from.

import type { ComponentChildren } from "preact";

interface Props {
  title: string;
  value: string;
  note?: string | undefined;
  tone?: "good" | "warn" | "bad" | undefined;
  children?: ComponentChildren;
}

export function Figure({ title, value, note, tone, children }: Props) {
  return (
    <section class="figure">
      <h2>{title}</h2>
      <p class={tone ? `figure-value ${tone}` : "figure-value"}>{value}</p>
      {note && <p class="figure-note">{note}</p>}
      {children}
    </section>
  );
}
