// `ModelList`: the newest version of each model. It must not know one from near.

import type { Model } from "../../api/models";
import { bytes, fromNow } from "../../data/format";
import { href } from "../../state/route";

export function ModelList({ models }: { models: Model[] }) {
  // Newest first: that is how they are told.
  const newest = models.filter(
    ({ schema, name }, i) => models.findIndex((other) => other.schema === schema && other.name === name) === i,
  );
  if (newest.length === 0) return <p class="muted">There are none yet, or none that you may see.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div class="scroll" tabIndex={0} role="region" aria-label="All models">
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Version
            </th>
            <th scope="col">Takes</th>
            <th scope="col">Gives</th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col">Created</th>
            <th scope="col">SHA-256</th>
          </tr>
        </thead>
        <tbody>
          {newest.map((model) => (
            <tr key={model.id}>
              <th scope="row">
                <a href={href("models", model.schema, model.name)}>
                  {model.schema !== "public" && `${model.schema}.`}
                  {model.name}
                </a>
              </th>
              <td class="number">{model.version}</td>
              <td>{model.inputs.map(({ name }) => name).join(", ")}</td>
              <td>{model.outputs.map(({ name }) => name).join(", ")}</td>
              <td class="number">{bytes(model.bytes)}</td>
              <td>{fromNow(model.created)}</td>
              <td>
                <code title={model.sha256}>{model.sha256.slice(0, 12)}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
