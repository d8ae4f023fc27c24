// A script cut into statements, and what kind each is: enough to run the one under the cursor and to know which can be
// followed. It must not know the dialect beyond its quotes and comments.

export interface Statement {
  text: string;
  /** Offsets in the script, without white space around. */
  from: number;
  to: number;
}

// Quoted texts and names, dollar quotes, comments: a semicolon within ends nothing.
const SKIPPED =
  /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\$([A-Za-z_]*)\$[\s\S]*?(?:\$\1\$|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|;/g;

/** The statements of a script, in order; empty ones are left out. */
export function statements(script: string): Statement[] {
  const found: Statement[] = [];
  let from = 0;
  const add = (to: number) => {
    const text = script.slice(from, to);
    const trimmed = text.trim();
    if (withoutComments(trimmed) !== "") {
      const start = from + text.indexOf(trimmed);
      found.push({ text: trimmed, from: start, to: start + trimmed.length });
    }
    from = to + 1;
  };
  for (const match of script.matchAll(SKIPPED)) {
    if (match[0] === ";") add(match.index);
  }
  add(script.length);
  return found;
}

/** The statement at an offset: the one around it, else the last before it. */
export function statementAt(script: string, offset: number): Statement | undefined {
  const all = statements(script);
  return all.find((s) => offset <= s.to + 1) ?? all.at(-1);
}

function withoutComments(text: string): string {
  return text.replaceAll(/--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, "").trim();
}

/** Whether a statement is a query, whose answer can be followed. */
export function isQuery(statement: string): boolean {
  return /^(select|with|values|table|\()/i.test(withoutComments(statement));
}

/** The query or relation of a SUBSCRIBE statement. */
export function subscribed(statement: string): string | undefined {
  const match = /^subscribe\s+(?:to\s+)?([\s\S]+)$/i.exec(withoutComments(statement));
  return match?.[1]?.trim();
}

/** Whether a statement changes what there is, so that the catalog is to be read anew. */
export function changesCatalog(statement: string): boolean {
  return /^(create|alter|drop|comment|grant|revoke|set|replay|truncate)\b/i.test(withoutComments(statement));
}

/** The offset of a place that the server tells: characters from 1, where JavaScript counts halves of some. */
export function offsetOf(text: string, position: number): number {
  let offset = 0;
  let left = position - 1;
  for (const character of text) {
    if (left <= 0) break;
    left -= 1;
    offset += character.length;
  }
  return offset;
}

export interface Order {
  column: string;
  descending: boolean;
}

/** How a query orders its rows, if by one column of its answer: changes come without order. */
export function orderOf(query: string): Order | undefined {
  const match = /\border\s+by\s+("?)([\w$]+)\1(\s+(asc|desc))?(\s+nulls\s+\w+)?(\s+limit\s+\d+)?\s*$/i.exec(query);
  const column = match?.[2];
  return column === undefined ? undefined : { column, descending: match?.[4]?.toLowerCase() === "desc" };
}
