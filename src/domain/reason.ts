import { badInput } from '../errors.ts';

const MAX_LENGTH = 1_000;
/** Escape sequences would act in the terminal of whoever lists plans, and marks of direction show another text than the one given. */
// eslint-disable-next-line no-control-regex -- these are what is looked for
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/** What a person says about a decision; null when nothing. @throws BAD_USER_INPUT */
export function checkedReason(reason: string | null | undefined): string | null {
  if (reason == null) return null;
  if (reason.length > MAX_LENGTH) throw badInput(`reason may have ${MAX_LENGTH} characters at most.`);
  if (HIDDEN.test(reason)) throw badInput('reason may not contain control characters.');
  return reason.toWellFormed();
}

/** @throws BAD_USER_INPUT */
export function requiredReason(reason: string): string {
  const checked = checkedReason(reason);
  if (checked === null || checked.trim() === '') throw badInput('Say why: reason may not be empty.');
  return checked;
}
