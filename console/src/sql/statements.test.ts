import { expect, test } from "vitest";
import { changesCatalog, isQuery, offsetOf, orderOf, statementAt, statements, subscribed } from "./statements";

const texts = (script: string) => statements(script).map((s) => s.text);

test("semicolons within texts, names and comments end nothing", () => {
  expect(texts("SELECT ';' ; SELECT \";\"; SELECT 1 -- a;b\n; SELECT /* ; */ 2")).toEqual([
    "SELECT ';'",
    'SELECT ";"',
    "SELECT 1 -- a;b",
    "SELECT /* ; */ 2",
  ]);
  expect(texts("SELECT $$a;b$$; SELECT $q$;$$;$q$; SELECT 'it''s;'")).toHaveLength(3);
});

test("comments alone are no statement; offsets are those of the script", () => {
  const script = "-- nothing\n;\n  SELECT 1;\n";
  const [only, ...others] = statements(script);
  expect(others).toEqual([]);
  expect(script.slice(only?.from, only?.to)).toBe("SELECT 1");
});

test("the statement at the cursor, also just behind its semicolon", () => {
  const script = "SELECT 1;\nSELECT 2;\n\n";
  expect(statementAt(script, 3)?.text).toBe("SELECT 1");
  expect(statementAt(script, 9)?.text).toBe("SELECT 1");
  expect(statementAt(script, 12)?.text).toBe("SELECT 2");
  expect(statementAt(script, script.length)?.text).toBe("SELECT 2");
});

test("places are told in characters", () => {
  expect(offsetOf("SELECT '🌊', x", 13)).toBe(13);
  expect(offsetOf("SELECT x", 8)).toBe(7);
  expect(offsetOf("SELECT x", 99)).toBe(8);
});

test("kinds", () => {
  expect(isQuery("-- c\nselect 1")).toBe(true);
  expect(isQuery("INSERT INTO t SELECT 1")).toBe(false);
  expect(subscribed("SUBSCRIBE TO levels")).toBe("levels");
  expect(subscribed("subscribe select 1")).toBe("select 1");
  expect(subscribed("select 1")).toBeUndefined();
  expect(changesCatalog("create view v as select 1")).toBe(true);
});

test("the order of a query, if it is a column of the answer", () => {
  expect(orderOf("SELECT a FROM t ORDER BY a DESC LIMIT 5")).toEqual({ column: "a", descending: true });
  expect(orderOf('SELECT "A b" FROM t ORDER BY "Ab"')).toEqual({ column: "Ab", descending: false });
  expect(orderOf("SELECT a FROM t ORDER BY a, b")).toBeUndefined();
  expect(orderOf("SELECT a FROM t")).toBeUndefined();
});
