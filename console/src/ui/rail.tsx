// `Rail`: the way to the pages, who is signed in, and the switches that are always at hand. It must not know pages.

import { signOut, standing, user } from "../api/session";
import type { Page } from "../pages";
import { href } from "../state/route";
import { isDark, switchTheme } from "../state/theme";
import { helpIsOpen } from "./help";
import { Icon, Mark } from "./icon";

export function Rail({ pages, current }: { pages: readonly Page[]; current: string | undefined }) {
  return (
    <header class="rail">
      <a class="brand" href={href("overview")} aria-label="Thalweg, overview">
        <Mark />
        <span>Thalweg</span>
      </a>
      <nav aria-label="Pages">
        {pages.map(({ name, title, icon, key, useCount }) => (
          <a href={href(name)} aria-current={name === current ? "page" : undefined} title={`${title} (g ${key})`}>
            <Icon name={icon} />
            <span>{title}</span>
            {useCount && <Count use={useCount} />}
          </a>
        ))}
      </nav>
      <div class="rail-end">
        <button
          type="button"
          class="quiet"
          onClick={switchTheme}
          aria-label={isDark() ? "Use light colours" : "Use dark colours"}
        >
          <Icon name={isDark() ? "sun" : "moon"} />
        </button>
        <button
          type="button"
          class="quiet"
          aria-label="Keyboard help"
          onClick={() => {
            helpIsOpen.value = true;
          }}
        >
          <Icon name="help" />
        </button>
        <span class="who" title="Signed in as">
          {user.value}
        </span>
        {standing.value.kind === "signed-in" ? (
          <button type="button" class="quiet" onClick={() => signOut()} aria-label="Sign out" title="Sign out">
            <Icon name="leave" />
          </button>
        ) : (
          <button
            type="button"
            class="quiet"
            onClick={() => signOut()}
            aria-label="Sign in as another user"
            title="Sign in as another user"
          >
            <Icon name="leave" />
          </button>
        )}
      </div>
    </header>
  );
}

function Count({ use }: { use: () => number }) {
  const count = use();
  if (count === 0) return null;
  return (
    <span class="count">
      {count}
      <span class="unseen"> firing</span>
    </span>
  );
}
