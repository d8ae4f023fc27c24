// Spans of time as people and SQL write them: `5 minutes`, `1 hour 30 min`, `90s`, `00:05:00`. Pure.

const SECONDS: Record<string, number> = {
  ms: 0.001,
  millisecond: 0.001,
  s: 1,
  sec: 1,
  second: 1,
  m: 60,
  min: 60,
  minute: 60,
  h: 3600,
  hour: 3600,
  d: 86_400,
  day: 86_400,
  w: 604_800,
  week: 604_800,
};

const PART = /(\d+(?:\.\d+)?)\s*([a-z]+)/gi;

/** Seconds of a span; undefined if it is none, or is not longer than nothing. */
export function spanOf(text: string): number | undefined {
  const clock = /^\s*(\d+):(\d{2})(?::(\d{2}))?\s*$/.exec(text);
  const seconds = clock ? Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3] ?? 0) : inWords(text);
  return seconds !== undefined && seconds > 0 ? seconds : undefined;
}

function inWords(text: string): number | undefined {
  if (text.replaceAll(PART, "").trim() !== "") return undefined;
  let sum: number | undefined;
  for (const [, amount, word = ""] of text.matchAll(PART)) {
    const name = word.toLowerCase();
    const unit = SECONDS[name] ?? SECONDS[name.replace(/s$/, "")];
    if (unit === undefined) return undefined;
    sum = (sum ?? 0) + Number(amount) * unit;
  }
  return sum;
}
