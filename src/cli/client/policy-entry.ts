import type { PlanKind, PolicyInput, SavedPolicyFragment } from './generated/api.ts';

/** A policy as files have it: the input of savePolicy, with everything that was left out filled in. */
export type PolicyEntry = Readonly<Record<string, unknown>> & { readonly name: string };

type Subject = Extract<
  keyof PolicyInput,
  'purge' | 'archive' | 'deduplication' | 'orphanRemoval' | 'reorganization' | 'reindex'
>;

const SUBJECTS: Partial<Record<PlanKind, Subject>> = {
  PURGE: 'purge',
  ARCHIVE: 'archive',
  DEDUPLICATION: 'deduplication',
  ORPHAN_REMOVAL: 'orphanRemoval',
  REORGANIZATION: 'reorganization',
  REINDEX: 'reindex',
};

/** What is null is left out: it says the same. */
export function entryOf({ kind, input, ...times }: SavedPolicyFragment): PolicyEntry {
  const subject = SUBJECTS[kind];
  if (subject === undefined) throw new TypeError(`No policy does ${kind}.`);
  return withoutNulls({ ...times, [subject]: input }) as PolicyEntry;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([key, member]) => member != null && key !== '__typename');
  return Object.fromEntries(members.map(([key, member]) => [key, withoutNulls(member)]));
}
