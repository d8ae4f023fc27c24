// `SignIn`: name and password of one of the server's users. It must not know what comes after.

import { useEffect, useRef, useState } from "preact/hooks";
import { asApiError } from "../api/errors";
import { signIn } from "../api/session";
import { Mark } from "./icon";

export function SignIn({ message }: { message: string | undefined }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<string | undefined>(message);
  const [busy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(name, password);
    } catch (error) {
      const failure = asApiError(error);
      setProblem(failure.isSignedOut ? "Name or password is wrong." : `${failure.message}`);
      setPassword("");
      setBusy(false);
    }
  };

  return (
    <main class="alone">
      <form class="sign-in" onSubmit={submit}>
        <div class="brand">
          <Mark />
          <h1>Thalweg</h1>
        </div>
        <label>
          User
          <input
            ref={first}
            name="username"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            required
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autocomplete="current-password"
            value={password}
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <p class="sign-in-problem" role="alert">
          {problem}
        </p>
      </form>
    </main>
  );
}
