// `Tabs`: one of several things at a time. It must not know them.

import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";

export interface Tab {
  title: string;
  content: () => ComponentChildren;
}

export function Tabs({ label, tabs }: { label: string; tabs: Tab[] }) {
  const [chosen, setChosen] = useState(tabs[0]?.title);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const at = Math.max(
    0,
    tabs.findIndex(({ title }) => title === chosen),
  );
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = (at + step + tabs.length) % tabs.length;
    if (step === 0) return;
    setChosen(tabs[next]?.title);
    (list.current?.children[next] as HTMLElement | undefined)?.focus();
  };
  return (
    <>
      <div ref={list} class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
        {tabs.map(({ title }, i) => (
          <button
            key={title}
            type="button"
            role="tab"
            aria-selected={i === at}
            aria-controls={id}
            tabIndex={i === at ? 0 : -1}
            onClick={() => setChosen(title)}
          >
            {title}
          </button>
        ))}
      </div>
      <div id={id} class="tab-panel" role="tabpanel" key={tabs[at]?.title}>
        {tabs[at]?.content()}
      </div>
    </>
  );
}
