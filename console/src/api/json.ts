// Reading the server's JSON without losing digits. It must not know what the JSON means.

/** A value as the server writes it. Numbers that a double cannot hold exactly stay text. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A number that a double may not hold: 16 digits without a point, 18 with one. (A double itself is written in 17.) */
const LONG_NUMBER = /[:[,]\s*-?(?:\d{16}|(?=[\d.]{19})[1-9]\d*\.)/;

interface ReviverContext {
  source?: string;
}

/** As JSON.parse, but `12345678901234567890` and `1.50` with many digits come back as the text they were written as. */
export function parseJson(text: string): Json {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text) as Json;
  return JSON.parse(text, exact) as Json;
}

function exact(this: unknown, _key: string, value: Json, context?: ReviverContext): Json {
  if (typeof value !== "number" || context?.source === undefined) return value;
  return context.source.length >= 16 && String(value) !== context.source ? context.source : value;
}

/** Whether a value is an object with members. */
export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value of type jsonb, which may be told as its text. Text that is no JSON is null. */
export function ofJsonb(told: Json | undefined): Json {
  if (typeof told !== "string") return told ?? null;
  try {
    return parseJson(told);
  } catch {
    return null;
  }
}
