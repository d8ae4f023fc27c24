import { expect, test } from "vitest";
import { SseReader } from "./sse";

test("events come whole, wherever the text is cut", () => {
  const text = 'event: begin\ndata: {"a":1}\n\n:\n\nevent: commit\nid: 7\ndata: {"b":2}\n\n';
  const whole = new SseReader().push(text);
  expect(whole).toEqual([
    { name: "begin", data: '{"a":1}' },
    { name: "commit", data: '{"b":2}' },
  ]);
  const reader = new SseReader();
  expect([...text].flatMap((character) => reader.push(character))).toEqual(whole);
});
