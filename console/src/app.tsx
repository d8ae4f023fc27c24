// `App`: who may come in, and the frame around the pages. It must not know what is on a page.

import { useEffect, useState } from "preact/hooks";
import { type ApiError, asApiError } from "./api/errors";
import { currentSession, signOut, standing } from "./api/session";
import { run } from "./api/sql";
import { PAGES } from "./pages";
import { listen } from "./state/keys";
import { go, route } from "./state/route";
import { switchTheme } from "./state/theme";
import { Help, helpIsOpen } from "./ui/help";
import { Notice } from "./ui/notice";
import { Rail } from "./ui/rail";
import { SignIn } from "./ui/sign-in";
import { Stage } from "./ui/stage";
import { Toasts } from "./ui/toasts";

const SHORTCUTS = [
  ...PAGES.map(({ name, title, key }) => ({ keys: `g ${key}`, does: `Go to ${title}`, run: () => go(name) })),
  { keys: "t", does: "Light or dark", run: switchTheme },
  {
    keys: "?",
    does: "Show this help",
    run: () => {
      helpIsOpen.value = true;
    },
  },
];

/** Asks who the server takes us for. */
async function findStanding(): Promise<void> {
  const [answer] = await run("SELECT current_user");
  const user = String(answer?.rows[0]?.[0] ?? "");
  standing.value = currentSession() ? { kind: "signed-in", user } : { kind: "open", user };
}

export function App() {
  const [problem, setProblem] = useState<ApiError>();
  const ask = () => {
    setProblem(undefined);
    findStanding().catch((error: unknown) => {
      const failure = asApiError(error);
      if (failure.isSignedOut) signOut();
      else setProblem(failure);
    });
  };
  useEffect(ask, []);
  useEffect(() => listen(SHORTCUTS), []);

  if (problem) {
    return (
      <main class="alone">
        <Notice kind="bad" title={problem.message} detail={problem.hint}>
          <button type="button" class="button" onClick={ask}>
            Try again
          </button>
        </Notice>
      </main>
    );
  }
  if (standing.value.kind === "unknown") return <div class="alone" aria-busy="true" />;
  if (standing.value.kind === "needed") return <SignIn message={standing.value.message} />;
  const page = PAGES.find(({ name }) => name === route.value.page) ?? PAGES[0];
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => document.getElementById("content")?.focus()}>
        Skip to content
      </button>
      <Rail pages={PAGES} current={page?.name} />
      <main id="content" class="content" tabIndex={-1}>
        {page && <Stage page={page} />}
      </main>
      <Help shortcuts={SHORTCUTS} />
      <Toasts />
    </div>
  );
}
