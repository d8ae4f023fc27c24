// `Code`: SQL to read and to copy. It must not know what it does.

import { toast } from "./toasts";

export function Code({ text }: { text: string }) {
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => toast("Copied."),
      () => toast("The browser did not let it be copied.", true),
    );
  };
  return (
    <div class="code">
      <button type="button" class="button" onClick={copy}>
        Copy
      </button>
      <pre>{text}</pre>
    </div>
  );
}
