// Who is signed in, and the token that shows it. The token is kept for this tab alone, and never put into a URL. It must
// not know pages.

import { computed, signal } from "@preact/signals";
import { asApiError, errorOf } from "./errors";
import { parseJson } from "./json";

const KEY = "thalweg.session";

/** Credentials of this tab. */
export interface Session {
  user: string;
  token: string;
  /** Milliseconds since 1970. */
  ends: number;
  /** The WebSocket sub-protocol that carries a token, if the server understands one. */
  socketProtocol?: string;
}

/** What is known of the user. */
export type Standing =
  | { kind: "unknown" }
  | { kind: "needed"; message?: string }
  | { kind: "open"; user: string }
  | { kind: "signed-in"; user: string };

const stored = signal<Session | undefined>(load());

/** Whether requests can be made, and as whom. */
export const standing = signal<Standing>({ kind: "unknown" });

/** The user's name, if there is one. */
export const user = computed(() => ("user" in standing.value ? standing.value.user : undefined));

/** The token to send, if there is one. */
export function currentSession(): Session | undefined {
  return stored.peek();
}

function load(): Session | undefined {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Session | null;
    return found && found.ends > Date.now() ? found : undefined;
  } catch {
    return undefined;
  }
}

function keep(session: Session | undefined): void {
  stored.value = session;
  if (session) sessionStorage.setItem(KEY, JSON.stringify(session));
  else sessionStorage.removeItem(KEY);
}

interface TokenBody {
  token: string;
  expires_in: number;
  websocket_protocol?: string;
}

/** Exchanges a password for a token. Throws what the server says. */
export async function signIn(name: string, password: string): Promise<void> {
  const shown = new TextEncoder().encode(`${name}:${password}`);
  const basic = btoa(String.fromCharCode(...shown));
  // Without credentials of its own the browser does not ask for a password in a window of its own.
  const response = await fetch("v1/token", {
    method: "POST",
    headers: { authorization: `Basic ${basic}` },
    credentials: "omit",
    cache: "no-store",
  }).catch((error: unknown) => {
    throw asApiError(error);
  });
  const text = await response.text();
  if (!response.ok) throw errorOf(parsed(text), response.status);
  const body = JSON.parse(text) as TokenBody;
  keep({
    user: name,
    token: body.token,
    ends: Date.now() + body.expires_in * 1000,
    ...(body.websocket_protocol === undefined ? {} : { socketProtocol: body.websocket_protocol }),
  });
  standing.value = { kind: "signed-in", user: name };
}

function parsed(text: string) {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

/** Forgets the token; `message` says why, if the user did not ask for it. */
export function signOut(message?: string): void {
  keep(undefined);
  standing.value = message === undefined ? { kind: "needed" } : { kind: "needed", message };
}
