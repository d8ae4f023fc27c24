// Where in the console one is: the part of the address after `#`. It must not know the pages.

import { signal } from "@preact/signals";

export interface Route {
  /** The page's name. */
  page: string;
  /** What comes after it. */
  rest: string[];
}

function read(): Route {
  const [page = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { page, rest };
}

export const route = signal<Route>(read());

addEventListener("hashchange", () => {
  route.value = read();
});

/** The address of a place. */
export function href(page: string, ...rest: string[]): string {
  return `#/${[page, ...rest].map(encodeURIComponent).join("/")}`;
}

/** Goes to a place. */
export function go(page: string, ...rest: string[]): void {
  location.hash = href(page, ...rest);
}
