// One connection that carries a subscription: a WebSocket, or server-sent events where a WebSocket cannot be had (a
// browser cannot give it an Authorization header, so a token needs a sub-protocol that the server understands). It must
// not know about reconnecting.

import { type ApiError, asApiError } from "../api/errors";
import { send } from "../api/http";
import { currentSession } from "../api/session";
import { parseEvent, type ServerEvent } from "./protocol";
import { SseReader } from "./sse";

/** What a link tells. `ended` comes once, and nothing after it. */
export interface LinkEvents {
  event(event: ServerEvent): void;
  /** `error` when the server has refused; none when the connection was lost or closed. */
  ended(error?: ApiError): void;
}

export interface Link {
  close(): void;
}

/** Opens a link for `query`, going on after an epoch if one is given. */
export type OpenLink = (query: string, after: number | undefined, on: LinkEvents) => Link;

function path(query: string, after: number | undefined): string {
  const options = new URLSearchParams({ query });
  if (after !== undefined) options.set("after", String(after));
  return `v1/subscribe?${options}`;
}

/** A WebSocket if one can be authenticated, else server-sent events. */
export const openLink: OpenLink = (query, after, on) => {
  const session = currentSession();
  if (session && session.socketProtocol === undefined) return openStream(query, after, on);
  const protocols = session?.socketProtocol
    ? [session.socketProtocol, `${session.socketProtocol}.${session.token}`]
    : [];
  return openSocket(query, after, on, protocols);
};

/** A refused WebSocket tells a page nothing: the same is then asked over HTTP, which says why, or works. */
function openSocket(query: string, after: number | undefined, on: LinkEvents, protocols: string[]): Link {
  const url = new URL(path(query, after), document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, protocols);
  let opened = false;
  let closed = false;
  let instead: Link | undefined;
  socket.onopen = () => {
    opened = true;
  };
  socket.onmessage = ({ data }) => {
    const event = typeof data === "string" ? parseEvent(data) : undefined;
    if (event && !closed) on.event(event);
  };
  socket.onclose = () => {
    if (closed) return;
    if (opened) on.ended();
    else instead = openStream(query, after, on);
  };
  return {
    close() {
      closed = true;
      socket.close();
      instead?.close();
    },
  };
}

function openStream(query: string, after: number | undefined, on: LinkEvents): Link {
  const abort = new AbortController();
  const ended = (error?: ApiError) => {
    if (!abort.signal.aborted) on.ended(error);
  };
  const read = async () => {
    const headers = { accept: "text/event-stream" };
    const response = await send(path(query, after), { headers, signal: abort.signal });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const events = new SseReader();
    for (;;) {
      const piece = await reader?.read().catch(() => undefined);
      if (piece?.value === undefined) return;
      for (const { name, data } of events.push(piece.value)) {
        const event = parseEvent(data, name);
        if (event && !abort.signal.aborted) on.event(event);
      }
    }
  };
  read().then(
    () => ended(),
    (error: unknown) => ended(asApiError(error)),
  );
  return { close: () => abort.abort() };
}
