// Reading the statements that the fake catalog answers: names, texts, brackets, options. It must not know statements.

const SKIPPED = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//y;

export class Scan {
  at = 0;

  constructor(readonly text: string) {}

  private space(): void {
    this.at += /^(?:\s+|--[^\n]*|\/\*[\s\S]*?\*\/)*/.exec(this.text.slice(this.at))?.[0].length ?? 0;
  }

  /** Takes words if they come next, in any case. */
  words(...words: string[]): boolean {
    const before = this.at;
    for (const word of words) {
      this.space();
      const next = this.text.slice(this.at, this.at + word.length);
      const isWhole = !/\w/.test(word.at(-1) ?? "") || !/\w/.test(this.text[this.at + word.length] ?? "");
      if (next.toLowerCase() !== word.toLowerCase() || !isWhole) {
        this.at = before;
        return false;
      }
      this.at += word.length;
    }
    return true;
  }

  expect(...words: string[]): void {
    if (!this.words(...words))
      throw new Error(`expected ${words.join(" ")}, found: ${this.text.slice(this.at, this.at + 20)}`);
  }

  /** Nothing is left. */
  end(): void {
    this.space();
    if (this.at < this.text.length) throw new Error(`expected end of statement, found: ${this.text.slice(this.at)}`);
  }

  name(): string {
    this.space();
    const [found] = /^(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)/.exec(this.text.slice(this.at)) ?? [];
    if (!found) throw new Error(`expected a name, found: ${this.text.slice(this.at, this.at + 20)}`);
    this.at += found.length;
    return found.startsWith('"') ? found.slice(1, -1).replaceAll('""', '"') : found.toLowerCase();
  }

  /** Perhaps with its schema. */
  qualified(): { schema: string; name: string } {
    const first = this.name();
    if (this.text[this.at] !== ".") return { schema: "public", name: first };
    this.at += 1;
    return { schema: first, name: this.name() };
  }

  quoted(): string {
    this.space();
    const [found] = /^'(?:[^']|'')*'/.exec(this.text.slice(this.at)) ?? [];
    if (found === undefined) throw new Error(`expected a text, found: ${this.text.slice(this.at, this.at + 20)}`);
    this.at += found.length;
    return found.slice(1, -1).replaceAll("''", "'");
  }

  /** What is in brackets, those within it too. */
  brackets(): string {
    this.expect("(");
    const from = this.at;
    for (let depth = 1; this.at < this.text.length; ) {
      SKIPPED.lastIndex = this.at;
      const skipped = SKIPPED.exec(this.text)?.[0].length;
      if (skipped) {
        this.at += skipped;
        continue;
      }
      const character = this.text[this.at++];
      if (character === "(") depth += 1;
      if (character === ")") depth -= 1;
      if (depth === 0) return this.text.slice(from, this.at - 1).trim();
    }
    throw new Error("expected )");
  }

  /** `(key = 'value', …)`. */
  options(): Record<string, string> {
    this.expect("(");
    const found: Record<string, string> = {};
    do {
      const key = this.name();
      this.expect("=");
      found[key] = this.quoted();
    } while (this.words(","));
    this.expect(")");
    return found;
  }
}
