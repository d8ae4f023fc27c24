// Requests to this server with the tab's token. A token that is no longer good ends the session. It must not know routes.

import { ApiError, errorOf } from "./errors";
import { type Json, parseJson } from "./json";
import { currentSession, signOut, standing } from "./session";

/** Sends a request; throws an ApiError for anything but success. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const session = currentSession();
  if (session) headers.set("authorization", `Bearer ${session.token}`);
  let response: Response;
  try {
    // Without credentials of its own the browser does not ask for a password in a window of its own.
    response = await fetch(path, { ...init, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw ApiError.unreachable();
  }
  if (response.ok) return response;
  const failure = errorOf(body(await response.text()), response.status);
  if (failure.isSignedOut && standing.peek().kind !== "needed") {
    signOut(session ? "Your session has ended. Sign in again to go on." : undefined);
  }
  throw failure;
}

/** Sends a request and reads its JSON. */
export async function sendForJson(path: string, init: RequestInit = {}): Promise<Json> {
  return parseJson(await (await send(path, init)).text());
}

function body(text: string): Json | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
