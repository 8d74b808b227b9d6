import type { MissedTicks, PlanKind } from './words.ts';

/** From one time of day to another, in the policy's time zone; "22:00" to "06:00" goes past midnight. */
export interface PolicyWindow {
  readonly from: string;
  readonly to: string;
}

/** When a policy is carried out by itself. */
export interface Timetable {
  /** cron, five fields: minute, hour, day of month, month, day of week */
  readonly schedule: string;
  readonly timeZone: string;
  readonly window: PolicyWindow | null;
  readonly jitterSeconds: number;
}

/** A tick, and when its run begins: the tick plus its jitter. */
export interface Tick {
  readonly at: Date;
  readonly runsAt: Date;
}

/** The input of the plans that a policy makes, as it was given; what it means is looked at when the plan is made. */
export type PolicySubject = Readonly<Record<string, unknown>>;

export interface PolicyDraft {
  readonly name: string;
  readonly enabled: boolean;
  readonly kind: PlanKind;
  readonly input: PolicySubject;
  readonly schedule: string | null;
  readonly timeZone: string;
  readonly window: PolicyWindow | null;
  readonly missed: MissedTicks;
  readonly jitterSeconds: number;
  readonly autoStartMaxRows: number | null;
}

/** null: by hand only */
export const timetableOf = ({
  schedule,
  timeZone,
  window,
  jitterSeconds,
}: Pick<PolicyDraft, 'schedule' | 'timeZone' | 'window' | 'jitterSeconds'>): Timetable | null =>
  schedule === null
    ? null
    : { schedule, timeZone, window: window && { from: window.from, to: window.to }, jitterSeconds };
