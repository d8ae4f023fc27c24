// `Past`: numbers as they were told, over time: for charts of rows that do not say when they were. As many moments as can
// be seen, however often numbers come. It must not know where numbers are from.

import { type Lines, MOST_LINES } from "./series";

/** Moments in a window. */
const MOMENTS = 600;

export class Past {
  private readonly times: number[] = [];
  private readonly lines = new Map<string, (number | null)[]>();
  private more = 0;

  /** Keeps so many seconds. */
  constructor(private readonly window: number) {}

  /** Notes what is told now. What was not told before has no past, what is told no more no present. */
  note(seconds: number, told: ReadonlyMap<string, number | null>): void {
    const beforeLast = this.times.at(-2);
    // Moments nearer to each other than can be seen are one: the later counts.
    if (beforeLast !== undefined && seconds - beforeLast < this.window / MOMENTS) this.forgetLast();
    this.more = 0;
    for (const name of told.keys()) {
      if (this.lines.has(name)) continue;
      if (this.lines.size < MOST_LINES) this.lines.set(name, new Array(this.times.length).fill(null));
      else this.more += 1;
    }
    this.times.push(seconds);
    for (const [name, line] of this.lines) line.push(told.get(name) ?? null);
    this.forgetBefore(seconds - this.window);
  }

  private forgetLast(): void {
    this.times.pop();
    for (const line of this.lines.values()) line.pop();
  }

  private forgetBefore(seconds: number): void {
    const first = this.times.findIndex((time) => time >= seconds);
    if (first <= 0) return;
    this.times.splice(0, first);
    for (const [name, line] of this.lines) {
      line.splice(0, first);
      if (line.every((value) => value === null)) this.lines.delete(name);
    }
  }

  /** As lines along time. */
  told(): Lines {
    const lines = [...this.lines].map(([name, values]) => ({ name, values }));
    return { axis: "time", x: this.times, names: [], lines, more: this.more };
  }
}
