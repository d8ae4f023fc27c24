import { beforeEach, expect, test } from "vitest";
import { ApiError } from "../api/errors";
import type { Answer } from "../api/sql";
import { ASK_EVERY, type Shared, Shares, TRY_AGAIN } from "./shared";
import type { SubscriptionEvents } from "./subscription";

const COLUMNS = [{ name: "a", type: "integer" }];

let followed: { query: string; on: SubscriptionEvents; ended: boolean }[];
let asked: { query: string; answer: (a: Answer) => void; refuse: (e: ApiError) => void }[];
let delays: { milliseconds: number; then: () => void; givenUp: boolean }[];
let tasks: Set<() => void>;
let shares: Shares;

beforeEach(() => {
  [followed, asked, delays, tasks] = [[], [], [], new Set()];
  shares = new Shares({
    follow(query, on) {
      const one = { query, on, ended: false };
      followed.push(one);
      return () => {
        one.ended = true;
      };
    },
    ask: (query) => new Promise((answer, refuse) => asked.push({ query, answer, refuse })),
    later(milliseconds, then) {
      const delay = { milliseconds, then, givenUp: false };
      delays.push(delay);
      return () => {
        delay.givenUp = true;
      };
    },
    now: () => 7,
    inFrame: (task) => tasks.add(task),
    notInFrame: (task) => tasks.delete(task),
  });
});

function frame(): void {
  while (tasks.size > 0) {
    const [task] = tasks;
    if (!task) return;
    tasks.delete(task);
    task();
  }
}

const commit = (epoch: number, value: number, snapshot = false) => ({
  snapshot,
  columns: COLUMNS,
  deltas: [{ weight: 1, row: [value] }],
  epoch,
  time: "",
});

function show(query: string): { last: Shared | undefined; times: number; leave: () => void } {
  const seen = { last: undefined as Shared | undefined, times: 0, leave: () => {} };
  seen.leave = shares.use(query, (shared) => {
    seen.last = shared;
    seen.times += 1;
  });
  return seen;
}

const refused = (code: string) => ({ kind: "failed" as const, error: new ApiError("no", 400, code) });
const settled = () => new Promise((done) => setTimeout(done, 0));

test("one subscription for all that show a query; each is told once a frame", () => {
  const [one, two] = [show("q"), show("q")];
  frame();
  expect(followed).toHaveLength(1);
  followed[0]?.on.commit(commit(1, 1, true));
  followed[0]?.on.commit(commit(2, 2));
  followed[0]?.on.state({ kind: "live" });
  const before = [one.times, two.times];
  frame();
  expect(one.last?.table.rows.map(({ values }) => values)).toEqual([[1], [2]]);
  expect(two.last?.table).toBe(one.last?.table);
  expect([one.times, two.times]).toEqual(before.map((n) => n + 1));
  expect(one.last?.state.kind).toBe("live");

  one.leave();
  expect(followed[0]?.ended).toBe(false);
  two.leave();
  expect(followed[0]?.ended).toBe(true);
  show("q");
  expect(followed).toHaveLength(2);
});

test("one that comes later is told what there is", () => {
  show("q");
  followed[0]?.on.commit(commit(1, 1, true));
  frame();
  const late = show("q");
  frame();
  expect(late.last?.table.rows).toHaveLength(1);
});

test("what cannot be followed is asked for again and again", async () => {
  const one = show("q");
  followed[0]?.on.state(refused("42P01"));
  asked[0]?.answer({ columns: COLUMNS, rows: [[5]], row_count: 1, command: "SELECT 1" });
  await settled();
  frame();
  expect(one.last).toMatchObject({ asked: true, state: { kind: "live" } });
  expect(one.last?.table.rows.map(({ values }) => values)).toEqual([[5]]);
  expect(delays[0]?.milliseconds).toBe(ASK_EVERY);
  delays[0]?.then();
  expect(asked).toHaveLength(2);
  one.leave();
  asked[1]?.answer({ columns: COLUMNS, rows: [], row_count: 0, command: "SELECT 0" });
  await settled();
  expect(delays).toHaveLength(1);
});

test("what is gone is said, and followed again when it is back", async () => {
  const one = show("q");
  followed[0]?.on.state(refused("42P01"));
  asked[0]?.refuse(new ApiError("relation a does not exist", 400, "42P01"));
  await settled();
  frame();
  expect(one.last?.state).toMatchObject({ kind: "failed", error: { message: "relation a does not exist" } });
  expect(delays[0]?.milliseconds).toBe(TRY_AGAIN);
  shares.again("q");
  expect(delays[0]?.givenUp).toBe(true);
  expect(followed).toHaveLength(2);
  followed[1]?.on.commit(commit(1, 1, true));
  followed[1]?.on.state({ kind: "live" });
  frame();
  expect(one.last).toMatchObject({ state: { kind: "live" }, asked: false });
});

test("what names a relation that is gone or new is followed anew, and shown as it was until then", () => {
  const [one, two] = [show('SELECT a FROM "Rhine levels"'), show("SELECT a FROM levels_2")];
  for (const { on } of followed) on.commit(commit(1, 1, true));
  frame();
  shares.anew(["levels", "Rhine levels"]);
  expect(followed.map(({ ended }) => ended)).toEqual([true, false, false]);
  frame();
  expect(one.last).toMatchObject({ state: { kind: "connecting" } });
  expect(one.last?.table.rows).toHaveLength(1);
  expect(two.last?.table.rows).toHaveLength(1);
});
