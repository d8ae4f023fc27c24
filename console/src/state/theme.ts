// Light or dark: as the system has it until the user says otherwise. It must not know colours.

import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "thalweg.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function load(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const theme = signal<Theme>(load());
const systemIsDark = signal(dark.matches);
dark.addEventListener("change", () => {
  systemIsDark.value = dark.matches;
});

/** Whether it is dark now. */
export function isDark(): boolean {
  return theme.value === "system" ? systemIsDark.value : theme.value === "dark";
}

effect(() => {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  if (theme.value === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme.value);
});

/** The other of the two. */
export function switchTheme(): void {
  theme.value = isDark() ? "light" : "dark";
}
