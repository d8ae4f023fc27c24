import { beforeEach, expect, test } from "vitest";
import { ApiError } from "../api/errors";
import type { LinkEvents } from "./link";
import type { Commit } from "./protocol";
import { type LiveState, Subscription } from "./subscription";

interface Opened {
  after: number | undefined;
  on: LinkEvents;
  closed: boolean;
}

let links: Opened[];
let delays: { milliseconds: number; then: () => void; givenUp: boolean }[];
let commits: Commit[];
let states: LiveState["kind"][];

beforeEach(() => {
  [links, delays, commits, states] = [[], [], [], []];
});

function subscribe(): Subscription {
  return new Subscription(
    "SELECT 1",
    { commit: (commit) => commits.push(commit), state: ({ kind }) => states.push(kind) },
    {
      open(_query, after, on) {
        const link = { after, on, closed: false };
        links.push(link);
        return {
          close() {
            link.closed = true;
          },
        };
      },
      later(milliseconds, then) {
        const delay = { milliseconds, then, givenUp: false };
        delays.push(delay);
        return () => {
          delay.givenUp = true;
        };
      },
      random: () => 1,
    },
  );
}

function epoch(link: Opened | undefined, number: number, snapshot = false): void {
  link?.on.event({ event: "begin", snapshot, columns: [{ name: "a", type: "integer" }] });
  link?.on.event({ event: "commit", epoch: number, time: "" });
}

test("a lost connection goes on after the last whole epoch", () => {
  subscribe();
  epoch(links[0], 5, true);
  links[0]?.on.event({ event: "begin", snapshot: false });
  links[0]?.on.ended();
  delays[0]?.then();
  expect(links[1]?.after).toBe(5);
  epoch(links[1], 6);
  expect(commits.map((c) => c.epoch)).toEqual([5, 6]);
  expect(states).toEqual(["connecting", "live", "waiting", "connecting", "live"]);
});

test("it waits longer each time, up to a limit, and begins anew after success", () => {
  subscribe();
  for (let i = 0; i < 8; i++) {
    links.at(-1)?.on.ended();
    delays.at(-1)?.then();
  }
  expect(delays.map((d) => d.milliseconds)).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  epoch(links.at(-1), 1, true);
  links.at(-1)?.on.ended();
  expect(delays.at(-1)?.milliseconds).toBe(250);
});

test("when the epoch is no longer kept, a snapshot is asked for at once", () => {
  subscribe();
  epoch(links[0], 5, true);
  links[0]?.on.event({ event: "lost" });
  expect(links[0]?.closed).toBe(true);
  expect(links[1]?.after).toBeUndefined();
});

test("the server says where to go on", () => {
  subscribe();
  epoch(links[0], 5, true);
  links[0]?.on.event({ event: "resume", after: 9, reason: "going down" });
  delays[0]?.then();
  expect(links[1]?.after).toBe(9);
});

test("a refusal ends it; one that may pass does not", () => {
  subscribe();
  links[0]?.on.ended(new ApiError("busy", 503));
  expect(states.at(-1)).toBe("waiting");
  delays[0]?.then();
  links[1]?.on.ended(new ApiError("no such relation", 400, "42P01"));
  expect(states.at(-1)).toBe("failed");
  expect(delays).toHaveLength(1);
});

test("closed means closed", () => {
  const subscription = subscribe();
  links[0]?.on.ended();
  subscription.close();
  expect(delays[0]?.givenUp).toBe(true);
  subscription.reconnect();
  expect(links).toHaveLength(1);
  expect(states.at(-1)).toBe("closed");
});
