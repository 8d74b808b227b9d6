import type { OperationSpec } from '../domain/plan.ts';
import type { Draft } from './save-plan.ts';

/** What one method of reorganization would do to a table, and whether it is worth it. */
export interface MethodForecast extends Pick<
  Draft,
  'impact' | 'effects' | 'locks' | 'blockers' | 'warnings' | 'steps'
> {
  readonly operation: Extract<OperationSpec, { kind: 'REORGANIZATION' }>;
  readonly wins: boolean;
  /** why it is worth it, or why not, in a sentence */
  readonly why: string;
}
