import { canonicalFilter, type RowFilterInput } from '../domain/filter.ts';
import { limitsFrom, type LimitsInput } from '../domain/limits.ts';
import { type PolicyDraft, type PolicySubject, timetableOf } from '../domain/policy.ts';
import type { PolicyInput } from '../domain/plan-inputs.ts';
import type { ThrottleInput } from '../domain/run.ts';
import { throttleFrom } from '../domain/throttle.ts';
import { checkedWindow, isTimeZone } from '../domain/time-window.ts';
import { badInput } from '../errors.ts';
import { POLICY_KINDS, type PolicyField } from './policy-plans.ts';
import { checkTimetable } from './timetable.ts';

/** Each of the plan inputs has these. */
export interface PlannedInput {
  database: string;
  schema: string;
  table: string;
  reason?: string | null | undefined;
  where?: RowFilterInput | null | undefined;
  limits?: LimitsInput | null | undefined;
  throttle?: ThrottleInput | null | undefined;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const FIELDS = Object.keys(POLICY_KINDS) as PolicyField[];
/** What the name of the policy and its tick leave of the longest reason of a plan. */
const MAX_REASON = 850;

/** Checks what can be checked without asking the database. @throws BAD_USER_INPUT */
export function policyFrom(input: PolicyInput, now: Date): PolicyDraft {
  if (!NAME.test(input.name)) {
    throw badInput(
      'The name must be 1 to 63 letters, digits, dots, dashes or underscores, and begin with a letter or digit.',
    );
  }
  const { field, planned } = subjectOf(input);
  checkPlanned(planned, now);
  const draft: PolicyDraft = {
    name: input.name,
    enabled: input.enabled,
    kind: POLICY_KINDS[field],
    input: JSON.parse(JSON.stringify(planned)) as PolicySubject,
    schedule: input.schedule?.trim().replaceAll(/\s+/g, ' ') ?? null,
    timeZone: input.timeZone,
    window: input.window == null ? null : { from: input.window.from, to: input.window.to },
    missed: input.missed,
    jitterSeconds: input.jitterSeconds,
    autoStartMaxRows: checkedRows(input.autoStartMaxRows ?? null),
  };
  checkTimes(draft, now);
  return draft;
}

function subjectOf(input: PolicyInput): { field: PolicyField; planned: PlannedInput } {
  const given = FIELDS.filter((field) => input[field] != null);
  const [field] = given;
  if (field === undefined || given.length > 1)
    throw badInput(`A policy has exactly one of ${FIELDS.join(', ')}.`);
  return { field, planned: input[field] as PlannedInput };
}

/** The same as a plan would say, while somebody is there to correct it. */
function checkPlanned({ where, limits, throttle, reason }: PlannedInput, now: Date): void {
  if (where != null) canonicalFilter(where, now);
  limitsFrom(limits, 0);
  throttleFrom(throttle);
  if ((reason?.length ?? 0) > MAX_REASON)
    throw badInput(`The reason of a policy may have ${MAX_REASON} characters at most.`);
}

function checkTimes(draft: PolicyDraft, now: Date): void {
  const timetable = timetableOf(draft);
  if (timetable !== null) return checkTimetable(timetable, now);
  if (!isTimeZone(draft.timeZone)) throw badInput('timeZone must be one such as Europe/Berlin.');
  if (draft.window !== null) checkedWindow({ ...draft.window, timeZone: draft.timeZone }, 'window');
}

function checkedRows(rows: number | null): number | null {
  if (rows === null || (Number.isSafeInteger(rows) && rows >= 0)) return rows;
  throw badInput('autoStartMaxRows must be a whole number from 0 on.');
}
