import { createHash } from 'node:crypto';
import type { PlanSpec } from './plan.ts';

/** What an approval is for and a start must name: SHA-256 of everything that the run will do, whatever the order of keys. */
export const planHash = (spec: PlanSpec): string =>
  createHash('sha256').update(canonicalJson(spec)).digest('hex');

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, part]) => `${JSON.stringify(key)}:${canonicalJson(part)}`).join(',')}}`;
}
