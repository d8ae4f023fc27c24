import { expect, test } from "vitest";
import { freeName, kindOf, optionsOf, readOptions, titleOf, withOption } from "./panel";

test("options come as an object or as its text, lists and numbers among them", () => {
  const options = { y: ["level", "flow"], WIDTH: 4, unit: null, title: "Levels" };
  expect(readOptions(options)).toEqual({ y: "level, flow", width: "4", title: "Levels" });
  expect(readOptions(JSON.stringify(options))).toEqual(readOptions(options));
  expect(readOptions("no json")).toEqual({});
  expect(readOptions(null)).toEqual({});
});

test("options mean what they say", () => {
  const raw = { y: "a, b,", width: "40", height: "2.4", window: "5 minutes", thresholds: "70,90", min: "0", max: "x" };
  expect(optionsOf({ kind: "line", raw })).toMatchObject({
    y: ["a", "b"],
    width: 12,
    height: 2,
    window: 300,
    thresholds: [70, 90],
    min: 0,
    max: undefined,
    unit: "",
  });
});

test("a panel without a size has the one of its kind", () => {
  expect(optionsOf({ kind: "number", raw: {} })).toMatchObject({ width: 3, height: 2 });
  expect(optionsOf({ kind: "map", raw: { width: "0" } })).toMatchObject({ width: 1, height: 5 });
});

test("an option is changed, or taken away", () => {
  expect(withOption({ a: "1", b: "2" }, "a", "3")).toEqual({ b: "2", a: "3" });
  expect(withOption({ a: "1", b: "2" }, "a", " ")).toEqual({ b: "2" });
});

test("names are made of titles and are free", () => {
  expect(freeName("Höhe über Null!", [])).toBe("ho_he_u_ber_null");
  expect(freeName("Levels", ["levels", "levels_2"])).toBe("levels_3");
  expect(freeName("24 h", [])).toBe("panel_24_h");
  expect(freeName("水", [])).toBe("panel");
});

test("kinds in any case; titles where there is one", () => {
  expect(kindOf("HEATMAP")).toBe("heatmap");
  expect(kindOf("pie")).toBeUndefined();
  expect(titleOf({ name: "peak_flow", kind: "line", query: "", raw: {} })).toBe("peak flow");
});
