// `Icon`: small pictures, drawn with one line. It must not know what they stand for.

const PATHS = {
  pulse: "M2 10h3l2.5-6 4 12 2.5-6h4",
  prompt: "M4 5l4 5-4 5M10 15h6",
  flow: "M3 5c5 0 5 10 10 10h4M3 15c3 0 4-2 5-4M12 6c1-.7 2-1 5-1",
  layers: "M10 3l7 4-7 4-7-4zM3 10.5l7 4 7-4M3 13.8l7 4 7-4",
  info: "M10 9v5M10 6.2v.1M10 17.5a7.5 7.5 0 100-15 7.5 7.5 0 000 15z",
  warning: "M10 8v4M10 14.3v.1M10 3L2.5 16.5h15z",
  sun: "M10 13.5a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M4 16l1.4-1.4M14.6 5.4L16 4",
  moon: "M16.5 12A7 7 0 018 3.5a7 7 0 108.5 8.5z",
  help: "M7.5 7.5a2.5 2.5 0 113.6 2.250c-.7.4-1.1.9-1.1 1.750M10 14.3v.1M10 17.5a7.5 7.5 0 100-15 7.5 7.5 0 000 15z",
  leave: "M8 4H4v12h4M9 10h8M14 7l3 3-3 3",
  play: "M6 4l10 6-10 6z",
  stop: "M5.5 5.5h9v9h-9z",
  branch: "M10 3v5M5 17v-3c0-3 5-2 5-6 0 4 5 3 5 6v3",
  replay: "M4 4v4h4M4.5 8a6.5 6.5 0 11-.9 4",
  close: "M5 5l10 10M15 5L5 15",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  expand: "M3.5 8V3.5H8M12 3.5h4.5V8M16.5 12v4.5H12M8 16.5H3.5V12",
  board: "M3 3.5h6v8H3zM11 3.5h6v4h-6zM11 9.5h6v7h-6zM3 13.5h6v3H3z",
  bell: "M4.5 14h11c-1-1-1.5-2-1.5-5a4 4 0 00-8 0c0 3-.5 4-1.5 5zM8.5 16.5a1.5 1.5 0 003 0",
  model:
    "M4 5.5a1.5 1.5 0 103 0a1.5 1.5 0 10-3 0M4 14.5a1.5 1.5 0 103 0a1.5 1.5 0 10-3 0M13 10a1.5 1.5 0 103 0a1.5 1.5 0 10-3 0M7 6.2l6 3M7 13.8l6-3",
  edit: "M4 16l.8-3.6L13 4.2l2.8 2.8-8.2 8.2z",
  move: "M10 2.5v15M2.5 10h15M10 2.5L8 4.5M10 2.5l2 2M10 17.5l-2-2M10 17.5l2-2M2.5 10l2-2M2.5 10l2 2M17.5 10l-2-2M17.5 10l-2 2",
  resize: "M15.5 7.5v8h-8M15.5 15.5l-6-6",
  check: "M4 10.5l4 4 8-9",
  mute: "M4.5 14h11c-1-1-1.5-2-1.5-5a4 4 0 00-8 0c0 3-.5 4-1.5 5zM3.5 3.5l13 13",
  bin: "M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11",
  down: "M10 3.5v9M6.5 9.5l3.5 3.5 3.5-3.5M4 16.5h12",
  up: "M10 13V4M6.5 7L10 3.5 13.5 7M4 16.5h12",
  table: "M3 4.5h14v11H3zM3 8.5h14M8 8.5v7",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: banks, and the line of fastest flow between them. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true">
      <path class="bank" d="M5 3c0 8 14 7 14 14S8 25 8 30" />
      <path class="bank" d="M14 3c0 5 13 6 13 14s-11 7-11 13" />
      <path class="line" d="M9.5 3c0 6.5 13.5 6.5 13.5 14S12 24 12 30" />
    </svg>
  );
}
