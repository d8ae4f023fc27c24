// `Stage`: loads a page and shows it. It must not know pages.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Page } from "../pages";
import { Notice } from "./notice";

export function Stage({ page }: { page: Page }) {
  const [loaded, setLoaded] = useState<{ name: string; Content?: ComponentType }>();
  useEffect(() => {
    document.title = `${page.title} · Thalweg`;
    let current = true;
    page
      .load()
      .then(({ default: Content }) => current && setLoaded({ name: page.name, Content }))
      .catch(() => current && setLoaded({ name: page.name }));
    return () => {
      current = false;
    };
  }, [page]);
  if (loaded?.name !== page.name) return <div class="loading" aria-busy="true" />;
  if (loaded.Content) return <loaded.Content />;
  return (
    <Notice
      kind="bad"
      title="This page could not be loaded."
      detail="The server may be of another version now: load the console anew."
    />
  );
}
