import { isDeepStrictEqual } from 'node:util';
import type { PolicyEntry } from './policy-entry.ts';
import { oneLine } from './table.ts';

/** undefined: not there. */
interface FieldChange {
  readonly field: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface PolicyChange {
  readonly policy: string;
  readonly change: 'ADD' | 'CHANGE' | 'DELETE' | 'NONE';
  readonly fields: readonly FieldChange[];
}

/** What would become of each policy, in the order of their names. */
export function policyChanges(
  before: readonly PolicyEntry[],
  after: readonly PolicyEntry[],
  prune: boolean,
): PolicyChange[] {
  const old = new Map(before.map((entry) => [entry.name, entry]));
  const kept = new Set(after.map(({ name }) => name));
  const left = prune ? before.filter(({ name }) => !kept.has(name)) : [];
  return [
    ...after.map((entry) => changeOf(old.get(entry.name), entry)),
    ...left.map(({ name }) => ({ policy: name, change: 'DELETE' as const, fields: [] })),
  ].sort((a, b) => (a.policy < b.policy ? -1 : 1));
}

function changeOf(before: PolicyEntry | undefined, after: PolicyEntry): PolicyChange {
  const fields = changedFields(before ?? {}, after);
  const change = before === undefined ? 'ADD' : fields.length === 0 ? 'NONE' : 'CHANGE';
  return { policy: after.name, change, fields };
}

function changedFields(before: object, after: object): FieldChange[] {
  const [old, now] = [leavesOf(before), leavesOf(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])].filter((field) => field !== 'name');
  return names
    .filter((field) => !isDeepStrictEqual(old.get(field), now.get(field)))
    .map((field) => ({ field, before: old.get(field), after: now.get(field) }));
}

/** By their paths, such as "archive.destination.kind"; a list is one value. */
function leavesOf(value: object, path = ''): Map<string, unknown> {
  const leaves = Object.entries(value).flatMap(([key, member]: [string, unknown]): [string, unknown][] =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? [...leavesOf(member, `${path}${key}.`)]
      : [[`${path}${key}`, member]],
  );
  return new Map(leaves);
}

const SIGNS = { ADD: '+', CHANGE: '~', DELETE: '-', NONE: ' ' } as const;

/** For people: what changes, field by field, and how many of each. */
export function changesAsText(changes: readonly PolicyChange[]): string {
  const todo = changes.filter(({ change }) => change !== 'NONE');
  const blocks = todo.map(({ policy, change, fields }) =>
    [`${SIGNS[change]} ${oneLine(policy)}`, ...fields.map(fieldLine)].join('\n'),
  );
  const count = (wanted: PolicyChange['change']) => changes.filter(({ change }) => change === wanted).length;
  const sum = `${count('ADD')} to add, ${count('CHANGE')} to change, ${count('DELETE')} to delete, ${count('NONE')} as they are.`;
  return [...blocks, sum].join('\n');
}

const fieldLine = ({ field, before, after }: FieldChange) =>
  before === undefined
    ? `    ${field}: ${shown(after)}`
    : `    ${field}: ${shown(before)} → ${after === undefined ? 'not given' : shown(after)}`;

const shown = (value: unknown) => oneLine(typeof value === 'string' ? value : JSON.stringify(value));
