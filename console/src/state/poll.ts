// Asking again and again while someone looks, not while the page is hidden, and without two questions at a time. It must
// not know what is asked.

import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { type ApiError, asApiError } from "../api/errors";

/** What was last told, and whether asking goes wrong. */
export interface Polled<T> {
  value?: T;
  error?: ApiError;
}

export class Poll<T> {
  readonly state: Signal<Polled<T>> = signal({});
  private users = 0;
  private abort: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly ask: (signal: AbortSignal) => Promise<T>,
    /** Milliseconds between an answer and the next question. */
    private readonly interval: number | ((told: T | undefined) => number),
  ) {}

  private readonly onVisible = () => {
    if (!document.hidden) this.now();
  };

  /** Asks as long as the function that is returned has not been called. */
  use(): () => void {
    this.users += 1;
    if (this.users === 1) {
      document.addEventListener("visibilitychange", this.onVisible);
      this.now();
    }
    return () => {
      this.users -= 1;
      if (this.users > 0) return;
      document.removeEventListener("visibilitychange", this.onVisible);
      this.stop();
    };
  }

  /** Asks at once. */
  now(): void {
    this.stop();
    if (this.users === 0) return;
    const abort = new AbortController();
    this.abort = abort;
    this.ask(abort.signal)
      .then((value) => {
        if (!abort.signal.aborted) this.state.value = { value };
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) this.state.value = { ...this.state.peek(), error: asApiError(error) };
      })
      .finally(() => {
        if (abort.signal.aborted || document.hidden || this.users === 0) return;
        const { interval } = this;
        const pause = typeof interval === "number" ? interval : interval(this.state.peek().value);
        this.timer = setTimeout(() => this.now(), pause);
      });
  }

  private stop(): void {
    this.abort?.abort();
    clearTimeout(this.timer);
  }
}

/** Asks while a component is there; anew when `key` changes. */
export function usePoll<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  interval: number,
): Polled<T> & { now: () => void } {
  const poll = useMemo(() => new Poll(ask, interval), [key]);
  useEffect(() => poll.use(), [poll]);
  return { ...poll.state.value, now: () => poll.now() };
}
