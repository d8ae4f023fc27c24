// `Shares`: each query followed once, for all that show it. What cannot be followed is asked for again and again; what is
// gone is tried again in a while, for screens that nobody attends. It must not know what is shown.

import { type ApiError, asApiError } from "../api/errors";
import type { Answer } from "../api/sql";
import { LiveTable } from "../data/rows";
import type { Commit } from "./protocol";
import type { LiveState, SubscriptionEvents } from "./subscription";

export interface Shared {
  table: LiveTable;
  state: LiveState;
  /** When the table last changed, in milliseconds by the browser's clock. */
  at: number | undefined;
  /** It cannot be followed, and is asked for every so often. */
  asked: boolean;
}

/** What it needs from the world. */
export interface SharedWorld {
  follow(query: string, on: SubscriptionEvents): () => void;
  ask(query: string): Promise<Answer | undefined>;
  later(milliseconds: number, then: () => void): () => void;
  now(): number;
  /** Runs a task in a coming frame. */
  inFrame(task: () => void): void;
  notInFrame(task: () => void): void;
}

export const ASK_EVERY = 5000;
export const TRY_AGAIN = 15_000;

/** Rows kept of a query at most. */
const MOST_ROWS = 5000;

export class Shares {
  private readonly queries = new Map<string, SharedQuery>();

  constructor(private readonly world: SharedWorld) {}

  /** Tells in frames what there is of `query`, until the function that is returned is called. */
  use(query: string, tell: (shared: Shared) => void): () => void {
    let shared = this.queries.get(query);
    if (!shared) {
      shared = new SharedQuery(query, this.world);
      this.queries.set(query, shared);
    }
    const found = shared;
    const leave = found.join(tell);
    return () => {
      leave();
      if (found.isUnused && this.queries.get(query) === found) this.queries.delete(query);
    };
  }

  /** Tries a query that has failed again, at once. */
  again(query: string): void {
    this.queries.get(query)?.again();
  }

  /** Follows queries anew that name one of these relations, which are gone, or new: the server does not say so. */
  anew(names: readonly string[]): void {
    for (const [query, shared] of this.queries) {
      if (names.some((name) => mentions(query, name))) shared.follow();
    }
  }
}

/** Whether a name is in a query, as a word of its own. It may be a column's: then it is followed anew for nothing. */
function mentions(query: string, name: string): boolean {
  const words = query.toLowerCase().split(/[^\p{L}\p{N}_$]+/u);
  return name
    .toLowerCase()
    .split(/[^\p{L}\p{N}_$]+/u)
    .every((word) => words.includes(word));
}

class SharedQuery {
  private readonly users = new Set<() => void>();
  private readonly commits: Commit[] = [];
  private shared: Shared = {
    table: new LiveTable(MOST_ROWS),
    state: { kind: "connecting" },
    at: undefined,
    asked: false,
  };
  private stop: (() => void) | undefined;
  /** Answers to what was asked before do not count. */
  private round = 0;

  constructor(
    private readonly query: string,
    private readonly world: SharedWorld,
  ) {}

  get isUnused(): boolean {
    return this.users.size === 0;
  }

  join(tell: (shared: Shared) => void): () => void {
    const user = () => tell(this.shared);
    this.users.add(user);
    if (this.users.size === 1) this.follow();
    else this.world.inFrame(user);
    return () => {
      this.users.delete(user);
      this.world.notInFrame(user);
      if (this.isUnused) this.end();
    };
  }

  again(): void {
    if (this.shared.state.kind === "failed") this.follow();
  }

  private end(): void {
    this.round += 1;
    this.stop?.();
    this.stop = undefined;
    this.world.notInFrame(this.settle);
  }

  /** From the beginning; what there was is shown until there is something newer. */
  follow(): void {
    this.end();
    const round = this.round;
    this.say({ state: { kind: "connecting" }, asked: false });
    this.stop = this.world.follow(this.query, {
      commit: (commit) => {
        if (round !== this.round) return;
        this.commits.push(commit);
        this.world.inFrame(this.settle);
      },
      state: (state) => {
        if (round !== this.round) return;
        if (state.kind === "failed") this.ask(state.error);
        else if (state.kind !== this.shared.state.kind) this.say({ state });
      },
    });
  }

  /** Asks once; as long as that works, again and again. `why` it is not followed is said if it cannot be asked, either. */
  private ask(why: ApiError): void {
    this.end();
    const round = this.round;
    this.world.ask(this.query).then(
      (answer) => {
        if (round !== this.round) return;
        this.commits.push(whole(answer, this.world.now()));
        this.shared.state = { kind: "live" };
        this.shared.asked = true;
        this.world.inFrame(this.settle);
        this.stop = this.world.later(ASK_EVERY, () => this.ask(why));
      },
      (error: unknown) => {
        if (round !== this.round) return;
        const failure = asApiError(error);
        this.say({ state: { kind: "failed", error: failure.isTransient ? why : failure } });
        this.stop = this.world.later(TRY_AGAIN, () => this.follow());
      },
    );
  }

  /** One task for what has come, one for each that shows it: frames can be cut between them. */
  private readonly settle = () => {
    for (const commit of this.commits.splice(0)) this.shared.table.apply(commit);
    this.say({ at: this.world.now() });
  };

  private say(change: Partial<Shared>): void {
    this.shared = { ...this.shared, ...change };
    for (const user of this.users) this.world.inFrame(user);
  }
}

function whole(answer: Answer | undefined, epoch: number): Commit {
  return {
    snapshot: true,
    columns: answer?.columns ?? [],
    deltas: (answer?.rows ?? []).map((row) => ({ weight: 1, row })),
    epoch,
    time: "",
  };
}
