// `Quality`: what is expected of a relation's rows, which rows were not so, and trying these again. It must not know
// how rows are followed.

import { useState } from "preact/hooks";
import { type Expectation, nameOf, quarantineOf, type Relation } from "../../api/catalog";
import { asApiError } from "../../api/errors";
import { run } from "../../api/sql";
import { count, counted } from "../../data/format";
import { catalog } from "../../state/server";
import { Icon } from "../../ui/icon";
import { toast } from "../../ui/toasts";
import { Followed } from "./rows";

const MEANING: Record<string, string> = {
  FAIL: "the statement is refused",
  DROP: "the row is dropped and counted",
  QUARANTINE: "the row is set aside",
};

export function Quality({ relation, expectations }: { relation: Relation; expectations: Expectation[] }) {
  const setsAside = expectations.some((e) => e.onViolation === "QUARANTINE");
  return (
    <>
      <div class="scroll">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Expectation</th>
              <th scope="col">Check</th>
              <th scope="col">If not</th>
              <th scope="col" class="number">
                Violations
              </th>
            </tr>
          </thead>
          <tbody>
            {expectations.map(({ name, check, onViolation, violations }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>
                  <code>{check}</code>
                </td>
                <td>{MEANING[onViolation] ?? onViolation}</td>
                <td class={violations > 0 ? "number warn" : "number"}>{count(violations)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {setsAside && <Quarantine relation={relation} />}
    </>
  );
}

function Quarantine({ relation }: { relation: Relation }) {
  const [busy, setBusy] = useState(false);
  const replay = async () => {
    setBusy(true);
    try {
      const [answer] = await run(`REPLAY QUARANTINE ${nameOf(relation)}`);
      const went = Number(answer?.command.split(" ").at(-1) ?? 0);
      toast([`${counted(went, "row")} went in.`, ...(answer?.notices ?? [])].join(" "));
      catalog.now();
    } catch (error) {
      toast(asApiError(error).message, true);
    }
    setBusy(false);
  };
  return (
    <section class="panel grows" aria-labelledby="quarantine">
      <div class="page-head">
        <h3 id="quarantine">Set aside</h3>
        <span class="muted">Mend rows with UPDATE, or what is expected, then try them again.</span>
        <button type="button" class="button" onClick={replay} disabled={busy}>
          <Icon name="replay" /> {busy ? "Trying…" : "Try again"}
        </button>
      </div>
      <Followed query={`SELECT * FROM ${quarantineOf(relation)}`} what={`rows set aside of ${relation.name}`} />
    </section>
  );
}
