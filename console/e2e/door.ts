// A door before the server: serves a folder under the policy that the server sets for its console, and passes everything else
// on, WebSockets too. It must not know what it serves.

import { createReadStream, existsSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import { connect } from "node:net";
import { extname, join, normalize } from "node:path";

export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/** Opens the door on a free port. */
export async function openDoor(dist: string, backendPort: number): Promise<{ server: Server; port: number }> {
  const server = createServer(async (incoming, response) => {
    const path = new URL(incoming.url ?? "/", "http://localhost").pathname;
    const file = join(dist, normalize(path === "/" ? "/index.html" : path));
    const isOurs = path === "/" || (path.startsWith("/assets/") && existsSync(file));
    if (isOurs) {
      response.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
      });
      createReadStream(file).pipe(response);
      return;
    }
    const { method, url, headers } = incoming;
    const passed = request({ host: "127.0.0.1", port: backendPort, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => {
      response.writeHead(502);
      response.end();
    });
    response.on("close", () => passed.destroy());
    incoming.pipe(passed);
  });
  server.on("upgrade", (incoming: IncomingMessage, socket, head) => {
    const backend = connect(backendPort, "127.0.0.1", () => {
      const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
      for (let i = 0; i < incoming.rawHeaders.length; i += 2)
        lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`);
      backend.write(`${lines.join("\r\n")}\r\n\r\n`);
      backend.write(head);
      backend.pipe(socket).pipe(backend);
    });
    backend.on("error", () => socket.destroy());
    socket.on("error", () => backend.destroy());
    socket.on("close", () => backend.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { server, port: address.port };
}
