import { expect, test } from "vitest";
import { Assembler, parseEvent } from "./protocol";

test("events make an epoch when it is committed, not before", () => {
  const assembler = new Assembler();
  const take = (text: string) => {
    const event = parseEvent(text);
    return event && assembler.take(event);
  };
  expect(
    take('{"event":"begin","snapshot":true,"columns":[{"name":"a","type":"integer"},{"name":"b","type":"text"}]}'),
  ).toBeUndefined();
  expect(take('{"event":"changes","rows":[{"w":1,"row":{"b":"x","a":1}}]}')).toBeUndefined();
  expect(take('{"event":"changes","rows":[{"w":-1,"row":{"a":2}}]}')).toBeUndefined();
  const commit = take('{"event":"commit","epoch":7,"time":"2026-01-01T00:00:00Z"}');
  expect(commit).toMatchObject({ snapshot: true, epoch: 7 });
  expect(commit?.deltas).toEqual([
    { weight: 1, row: [1, "x"] },
    { weight: -1, row: [2, null] },
  ]);
});

test("columns are kept for epochs that do not tell them, rows are not", () => {
  const assembler = new Assembler();
  assembler.take({ event: "begin", snapshot: true, columns: [{ name: "a", type: "integer" }] });
  assembler.take({ event: "changes", rows: [{ w: 1, row: { a: 1 } }] });
  assembler.take({ event: "commit", epoch: 1, time: "" });
  assembler.take({ event: "begin", snapshot: false });
  const commit = assembler.take({ event: "commit", epoch: 2, time: "" });
  expect(commit).toEqual({
    snapshot: false,
    columns: [{ name: "a", type: "integer" }],
    deltas: [],
    epoch: 2,
    time: "",
  });
});

test("an epoch that was cut off is forgotten", () => {
  const assembler = new Assembler();
  assembler.take({ event: "begin", snapshot: true, columns: [{ name: "a", type: "integer" }] });
  assembler.take({ event: "changes", rows: [{ w: 1, row: { a: 1 } }] });
  assembler.take({ event: "begin", snapshot: true });
  expect(assembler.take({ event: "commit", epoch: 1, time: "" })?.deltas).toEqual([]);
});

test("errors are read, what is not ours is passed over", () => {
  const event = parseEvent('{"event":"error","error":{"code":"42501","message":"no","hint":"ask"}}');
  expect(event).toMatchObject({ event: "error", error: { code: "42501", message: "no", hint: "ask" } });
  for (const text of ["", "{", "[1]", '{"event":"new-in-a-later-version"}']) expect(parseEvent(text)).toBeUndefined();
  expect(parseEvent('{"after":7}', "lost")).toMatchObject({ event: "lost" });
});
