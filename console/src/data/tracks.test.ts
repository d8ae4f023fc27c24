import { expect, test } from "vitest";
import { LiveTable } from "./rows";
import { MOST_TRACKS, Tracks, trackable } from "./tracks";

const COLUMNS = [
  { name: "key", type: "text" },
  { name: "n", type: "bigint" },
];

function tableOf(...rows: [string, number][]): LiveTable {
  const table = new LiveTable();
  const deltas = rows.map((row) => ({ weight: 1, row: [...row] }));
  table.apply({ snapshot: true, columns: COLUMNS, deltas, epoch: 1, time: "" });
  return table;
}

test("a line for each row, with gaps where it was not there", () => {
  const tracks = new Tracks(1);
  tracks.note(tableOf(["a", 1]), 10);
  tracks.note(tableOf(["b", 5], ["a", 2]), 11);
  tracks.note(tableOf(["b", 6]), 12);
  expect(tracks.names).toEqual(["a", "b"]);
  expect(tracks.data()).toEqual([
    [10, 11, 12],
    [1, 2, null],
    [null, 5, 6],
  ]);
  expect(trackable(tableOf())).toEqual([1]);
});

test("no more lines than can be told apart", () => {
  const tracks = new Tracks(1);
  tracks.note(tableOf(...Array.from({ length: 20 }, (_, i): [string, number] => [`k${i}`, i])), 1);
  expect(tracks.names).toHaveLength(MOST_TRACKS);
});
