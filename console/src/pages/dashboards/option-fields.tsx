// `OptionFields`: a panel's options as a form; columns to choose from are those of its answer. It must not know what
// options mean.

import type { Column } from "../../api/sql";
import { FIELDS, type Field } from "../../board/fields";
import { optionsOf, type Panel } from "../../board/panel";
import { useShared } from "../../live/use-shared";
import { notOneQuery } from "../../sql/write";

interface Props {
  panel: Panel;
  onChange: (key: string, value: string) => void;
}

export function OptionFields({ panel, onChange }: Props) {
  const isReady = notOneQuery(panel.query) === undefined;
  const { columns } = useShared(isReady ? panel.query : undefined).table;
  return (
    <div class="option-fields">
      {FIELDS[panel.kind].map((field) => {
        const { key } = field;
        if (field.input === "columns")
          return <Columns key={key} field={field} panel={panel} columns={columns} onChange={onChange} />;
        const value = panel.raw[key] ?? "";
        return <Input key={key} field={field} value={value} columns={columns} onChange={(now) => onChange(key, now)} />;
      })}
    </div>
  );
}

interface InputProps {
  field: Field;
  value: string;
  columns: readonly Column[];
  onChange: (value: string) => void;
}

function Input({ field: { label, input, hint, choices = [], most }, value, columns, onChange }: InputProps) {
  if (input === "column" || input === "choice") {
    const known = input === "column" ? columns.map(({ name }) => name) : choices;
    const shown = value === "" || known.includes(value) ? known : [value, ...known];
    return (
      <label>
        {label}
        <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
          <option value="">{input === "column" ? "by itself" : "as usual"}</option>
          {shown.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
    );
  }
  return (
    <label>
      {label}
      <input
        value={value}
        placeholder={hint ?? ""}
        title={hint}
        {...(input === "number" ? { type: "number", step: most === undefined ? "any" : 1 } : {})}
        {...(most === undefined ? {} : { min: 1, max: most })}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
    </label>
  );
}

interface ColumnsProps {
  field: Field;
  panel: Panel;
  columns: readonly Column[];
  onChange: Props["onChange"];
}

/** Some of the columns, in the order in which they are chosen. */
function Columns({ field: { key, label }, panel, columns, onChange }: ColumnsProps) {
  const { y } = optionsOf(panel);
  const gone = y.filter((name) => !columns.some((column) => column.name === name));
  const toggle = (name: string) => {
    const next = y.includes(name) ? y.filter((other) => other !== name) : [...y, name];
    onChange(key, next.join(", "));
  };
  return (
    <fieldset>
      <legend>{label}</legend>
      {[...gone, ...columns.map(({ name }) => name)].map((name) => (
        <label key={name} class="check">
          <input type="checkbox" checked={y.includes(name)} onChange={() => toggle(name)} />
          {name}
        </label>
      ))}
      {columns.length === 0 && gone.length === 0 && <span class="muted">known once the query answers</span>}
    </fieldset>
  );
}
