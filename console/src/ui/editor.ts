// The editor: CodeMirror with the dialect, the catalog's names, and the console's colours. It lives in a shadow tree:
// there its styles are constructed sheets, which a policy without 'unsafe-inline' allows. It must not know what running
// a statement means.

import { autocompletion, type CompletionContext, closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Relation } from "../api/catalog";
import { complete } from "../sql/completion";
import { statementAt } from "../sql/statements";

export interface EditorOptions {
  text: string;
  relations: () => readonly Relation[];
  onRun: () => void;
  onExplain: () => void;
  onChange: (text: string) => void;
}

/** What is to be run: the selection, or the statement at the cursor. */
export interface Chosen {
  text: string;
  /** Where it begins in the editor. */
  from: number;
}

export interface Editor {
  chosen(): Chosen | undefined;
  /** Marks the place of an error; undefined takes the mark away. */
  mark(at: number | undefined): void;
  focus(): void;
  destroy(): void;
}

const setMark = StateEffect.define<number | undefined>();

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, transaction) {
    let now = transaction.docChanged ? Decoration.none : value;
    for (const effect of transaction.effects) {
      if (!effect.is(setMark)) continue;
      now = Decoration.none;
      if (effect.value === undefined) continue;
      const at = Math.min(effect.value, transaction.state.doc.length);
      const to = transaction.state.wordAt(at)?.to ?? Math.min(at + 1, transaction.state.doc.length);
      if (to > at) now = Decoration.set([Decoration.mark({ class: "cm-fault" }).range(at, to)]);
    }
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const LOOK = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "var(--surface)", fontSize: "13.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { padding: "14px 0", caretColor: "var(--accent)" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--ink-3)", border: "none", paddingLeft: "6px" },
  ".cm-activeLine": { backgroundColor: "var(--hover)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-matchingBracket": { backgroundColor: "var(--selection)" },
  ".cm-fault": { textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "4px" },
  ".cm-placeholder": { color: "var(--ink-3)" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    border: "1px solid var(--line)",
    borderRadius: "8px",
    boxShadow: "var(--shadow)",
    overflow: "hidden",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px", maxHeight: "15em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.65", fontStyle: "normal", marginLeft: "1.2em" },
});

const COLOURS = syntaxHighlighting(
  HighlightStyle.define([
    { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "500" },
    { tag: [tags.string, tags.special(tags.string)], color: "var(--code-text)" },
    { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
    { tag: tags.typeName, color: "var(--code-type)" },
    { tag: [tags.lineComment, tags.blockComment], color: "var(--ink-3)", fontStyle: "italic" },
  ]),
);

/** Puts an editor into `host`. */
export function createEditor(host: HTMLElement, options: EditorOptions): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  root.replaceChildren();
  const run = (then: () => void) => () => {
    then();
    return true;
  };
  const source = (context: CompletionContext) => {
    const script = context.state.doc.toString();
    const statement = statementAt(script, context.pos);
    const start = statement && context.pos >= statement.from ? statement.from : context.pos;
    const text = statement?.text ?? "";
    const found = complete(text, context.pos - start, options.relations());
    if (!found || (!context.explicit && found.from + start === context.pos && script[context.pos - 1] !== "."))
      return null;
    const suggestions = found.suggestions.map(({ kind, rank, ...rest }) => ({ ...rest, type: kind, boost: rank * 10 }));
    return { from: found.from + start, options: suggestions, validFor: /^[\w$]*$/ };
  };
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        Prec.highest(
          keymap.of([
            { key: "Mod-Enter", run: run(options.onRun) },
            { key: "Mod-Shift-Enter", run: run(options.onExplain) },
          ]),
        ),
        lineNumbers(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        autocompletion({ override: [source], icons: false }),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
        sql({ dialect: PostgreSQL }),
        placeholder("SELECT …"),
        EditorView.contentAttributes.of({ "aria-label": "SQL", tabindex: "0" }),
        EditorView.lineWrapping,
        EditorView.updateListener.of((update) => {
          if (update.docChanged) options.onChange(update.state.doc.toString());
        }),
        marks,
        LOOK,
        COLOURS,
      ],
    }),
  });
  return {
    chosen() {
      const { from, to, head } = view.state.selection.main;
      if (from !== to) return { text: view.state.sliceDoc(from, to), from };
      return statementAt(view.state.doc.toString(), head);
    },
    mark: (at) => view.dispatch({ effects: setMark.of(at) }),
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
