// `ApiError`: why the server, or the way to it, has refused. It must not know requests.

import { isObject, type Json } from "./json";

/** A refusal as the server tells it, in PostgreSQL's terms. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** SQLSTATE, if told. */
    readonly code?: string,
    readonly detail?: string,
    readonly hint?: string,
    /** Character of the statement, from 1. */
    readonly position?: number,
  ) {
    super(message);
  }

  /** The server did not answer. */
  static unreachable(): ApiError {
    return new ApiError("The server does not answer.", 0);
  }

  /** Credentials are missing, wrong or too old. */
  get isSignedOut(): boolean {
    return this.status === 401;
  }

  /** The user may not. */
  get isForbidden(): boolean {
    return this.status === 403 || this.code === "42501";
  }

  /** Trying again later can help. */
  get isTransient(): boolean {
    return (
      this.status === 0 || this.status === 429 || this.status === 502 || this.status === 503 || this.status === 504
    );
  }
}

/** The error in the body of a refusal, or in an `error` event. */
export function errorOf(body: Json | undefined, status: number): ApiError {
  const error = isObject(body) ? body.error : undefined;
  if (!isObject(error) || typeof error.message !== "string")
    return new ApiError(`The server answered ${status}.`, status);
  const text = (name: string) => (typeof error[name] === "string" ? error[name] : undefined);
  const position = typeof error.position === "number" ? error.position : undefined;
  return new ApiError(error.message, status, text("code"), text("detail"), text("hint"), position);
}

/** Anything thrown, as an ApiError. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  return new ApiError(thrown instanceof Error ? thrown.message : String(thrown), 0);
}
