// `Channels`: where an alert is told. It must not know the alert.

import { CHANNEL_FIELDS, CHANNELS, type Channel, type ChannelKind } from "../../sql/alerts";
import { Icon } from "../../ui/icon";

interface Props {
  notify: readonly Channel[];
  onChange: (notify: Channel[]) => void;
}

export function Channels({ notify, onChange }: Props) {
  const put = (at: number, channel: Channel) => onChange(notify.map((old, i) => (i === at ? channel : old)));
  return (
    <fieldset class="channels">
      <legend>Is told to</legend>
      {notify.map(({ kind, options }, at) => (
        <div class="form-row" key={at}>
          <label>
            <span class="unseen">Channel {at + 1}</span>
            <select
              value={kind}
              onChange={({ currentTarget: { value } }) => put(at, { kind: value as ChannelKind, options: {} })}
            >
              {CHANNELS.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          {CHANNEL_FIELDS[kind].map(({ key, hint }) => (
            <label key={key} class="grows">
              <span class="unseen">{key}</span>
              <input
                value={options[key] ?? ""}
                placeholder={`${key}: ${hint}`}
                onInput={({ currentTarget: { value } }) => put(at, { kind, options: { ...options, [key]: value } })}
              />
            </label>
          ))}
          <button
            type="button"
            class="quiet"
            aria-label={`Take channel ${at + 1} away`}
            onClick={() => onChange(notify.filter((_, i) => i !== at))}
          >
            <Icon name="bin" />
          </button>
        </div>
      ))}
      <button type="button" class="button" onClick={() => onChange([...notify, { kind: "webhook", options: {} }])}>
        <Icon name="plus" /> Add a channel
      </button>
    </fieldset>
  );
}
