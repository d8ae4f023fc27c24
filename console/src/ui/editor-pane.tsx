// `EditorPane`: the place of the editor, which is loaded when it is first needed. It must not know CodeMirror.

import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { catalog } from "../state/server";
import type { Editor } from "./editor";

interface Props {
  editor: RefObject<Editor | null>;
  text: string;
  onChange: (text: string) => void;
  onRun: () => void;
  onExplain: () => void;
}

export function EditorPane({ editor, text, onChange, onRun, onExplain }: Props) {
  const host = useRef<HTMLDivElement>(null);
  // The editor is made once; what it calls is what was last given.
  const latest = useRef({ onChange, onRun, onExplain });
  latest.current = { onChange, onRun, onExplain };
  useEffect(() => {
    let current = true;
    import("./editor").then(({ createEditor }) => {
      if (!current || !host.current) return;
      editor.current = createEditor(host.current, {
        text,
        relations: () => catalog.state.peek().value?.relations ?? [],
        onChange: (now) => latest.current.onChange(now),
        onRun: () => latest.current.onRun(),
        onExplain: () => latest.current.onExplain(),
      });
      editor.current.focus();
    });
    return () => {
      current = false;
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);
  return <div ref={host} class="editor" />;
}
