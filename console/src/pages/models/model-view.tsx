// `ModelView`: one model: its versions, what it takes and gives, and a try. It must not know how predictions are written.

import { nameOf } from "../../api/catalog";
import type { Model } from "../../api/models";
import { bytes, fromNow, shortType } from "../../data/format";
import type { Port } from "../../sql/models";
import { Try } from "./try";

export function ModelView({ model, versions }: { model: Model; versions: Model[] }) {
  return (
    <>
      <section class="panel" aria-labelledby="try">
        <h2 id="try">Try it</h2>
        <Try model={model} />
      </section>
      <div class="model-ports">
        <Ports title="It takes" ports={model.inputs} />
        <Ports title="It gives" ports={model.outputs} />
      </div>
      <section class="panel" aria-labelledby="versions">
        <h2 id="versions">Versions</h2>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
        <div class="scroll" tabIndex={0} role="region" aria-label="All versions">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col" class="number">
                  Version
                </th>
                <th scope="col" class="number">
                  Size
                </th>
                <th scope="col">Owner</th>
                <th scope="col">Created</th>
                <th scope="col">SHA-256</th>
              </tr>
            </thead>
            <tbody>
              {versions.map(({ id, version, bytes: size, owner, created, sha256 }) => (
                <tr key={`${id} ${version}`}>
                  <th scope="row" class="number">
                    {version}
                  </th>
                  <td class="number">{bytes(size)}</td>
                  <td>{owner}</td>
                  <td>{fromNow(created)}</td>
                  <td>
                    <code>{sha256}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p class="muted">
          <code>CREATE OR REPLACE MODEL {nameOf(model)} FROM '…'</code> makes the next version.
        </p>
      </section>
    </>
  );
}

function Ports({ title, ports }: { title: string; ports: Port[] }) {
  return (
    <section class="panel" aria-label={title}>
      <h2>{title}</h2>
      {ports.length === 0 && <p class="muted">The server does not say.</p>}
      <ul class="ports">
        {ports.map(({ name, type }) => (
          <li key={name}>
            <code>{name}</code> <span class="muted">{shortType(type)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
