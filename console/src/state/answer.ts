// The answer to one query for a component, asked when it appears. It must not know pages.

import { useEffect, useState } from "preact/hooks";
import { asApiError } from "../api/errors";
import { type Answer, run } from "../api/sql";
import type { Polled } from "./poll";

/** The answer; asked anew when `query` or `version` changes. */
export function useAnswer(query: string, version = 0): Polled<Answer> {
  const [state, setState] = useState<Polled<Answer>>({});
  useEffect(() => {
    const abort = new AbortController();
    run(query, [], abort.signal).then(
      ([value]) => setState(value ? { value } : {}),
      (error: unknown) => {
        if (!abort.signal.aborted) setState({ error: asApiError(error) });
      },
    );
    return () => abort.abort();
  }, [query, version]);
  return state;
}
