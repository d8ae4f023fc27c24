// `Subscription`: a query's answer kept up to date through lost connections, going on after the last whole epoch. It
// must not know what is done with the changes, nor how they travel.

import type { ApiError } from "../api/errors";
import type { Link, OpenLink } from "./link";
import { Assembler, type Commit, type ServerEvent } from "./protocol";

export type LiveState =
  | { kind: "connecting" }
  | { kind: "live" }
  /** Trying again in a while. */
  | { kind: "waiting"; attempt: number }
  /** The server has refused; trying again would not help. */
  | { kind: "failed"; error: ApiError }
  | { kind: "closed" };

export interface SubscriptionEvents {
  commit(commit: Commit): void;
  state(state: LiveState): void;
}

/** What a subscription needs from the world. */
export interface Surroundings {
  open: OpenLink;
  /** Calls back after milliseconds; what it returns gives that up. */
  later(milliseconds: number, then: () => void): () => void;
  /** From 0 to 1. */
  random(): number;
}

const FIRST_DELAY = 250;
const LONGEST_DELAY = 10_000;

export class Subscription {
  private link: Link | undefined;
  private giveUpWaiting: (() => void) | undefined;
  private assembler = new Assembler();
  private after: number | undefined;
  private attempt = 0;
  private closed = false;

  constructor(
    private readonly query: string,
    private readonly on: SubscriptionEvents,
    private readonly world: Surroundings,
  ) {
    this.connect();
  }

  /** Ends it; nothing is told any more. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.drop();
    this.on.state({ kind: "closed" });
  }

  /** Connects anew at once: the network is back, or who is signed in has changed. */
  reconnect(): void {
    if (this.closed) return;
    this.drop();
    this.attempt = 0;
    this.connect();
  }

  private drop(): void {
    this.giveUpWaiting?.();
    this.giveUpWaiting = undefined;
    this.link?.close();
    this.link = undefined;
  }

  private connect(): void {
    this.on.state({ kind: "connecting" });
    // Columns are in the first `begin` of each link.
    this.assembler = new Assembler();
    this.link = this.world.open(this.query, this.after, {
      event: (event) => this.take(event),
      ended: (error) => this.ended(error),
    });
  }

  private take(event: ServerEvent): void {
    switch (event.event) {
      case "lost":
        this.after = undefined;
        this.drop();
        this.connect();
        return;
      case "resume":
        this.after = event.after ?? undefined;
        this.wait();
        return;
      case "error":
        this.ended(event.error);
        return;
      default: {
        const commit = this.assembler.take(event);
        if (!commit) return;
        this.after = commit.epoch;
        this.attempt = 0;
        this.on.commit(commit);
        this.on.state({ kind: "live" });
      }
    }
  }

  private ended(error?: ApiError): void {
    if (error && !error.isTransient) {
      this.closed = true;
      this.drop();
      this.on.state({ kind: "failed", error });
    } else {
      this.wait();
    }
  }

  /** Longer each time, and not all at the same time. */
  private wait(): void {
    this.drop();
    const longest = Math.min(FIRST_DELAY * 2 ** this.attempt, LONGEST_DELAY);
    this.attempt += 1;
    this.on.state({ kind: "waiting", attempt: this.attempt });
    this.giveUpWaiting = this.world.later(longest * (0.5 + this.world.random() / 2), () => this.connect());
  }
}
