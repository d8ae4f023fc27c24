// `Notice`: something the user is to know, in place. It must not know why.

import type { ComponentChildren } from "preact";
import type { ApiError } from "../api/errors";
import { Icon } from "./icon";

interface Props {
  kind: "bad" | "warn" | "info";
  title: string;
  detail?: string | undefined;
  children?: ComponentChildren;
}

export function Notice({ kind, title, detail, children }: Props) {
  return (
    <div class={`notice ${kind}`} role={kind === "info" ? "status" : "alert"}>
      <Icon name={kind === "info" ? "info" : "warning"} />
      <div>
        <p class="notice-title">{title}</p>
        {detail && <p class="notice-detail">{detail}</p>}
        {children}
      </div>
    </div>
  );
}

/** What the server has refused; what a user may not do is said plainly. */
export function Failure({ error, what }: { error: ApiError; what: string }) {
  if (error.isForbidden) {
    const detail = `${error.message}. Ask an owner or a superuser for GRANT.`;
    return <Notice kind="warn" title={`You may not see ${what}.`} detail={detail} />;
  }
  return <Notice kind="bad" title={error.message} detail={[error.detail, error.hint].filter(Boolean).join(" ")} />;
}
