import type { Remedy } from '../domain/finding.ts';

/** What every plan answers: enough to decide whether to start it. */
const PLAN_FIELDS = `{
    id
    state
    hash
    expiresAt
    impact { rows rowsAreExact share bytes estimatedSeconds diskNeededBytes }
    blockers { code message hint }
    warnings { code message hint }
  }`;

export type PlanMutation =
  | 'Archive'
  | 'Deduplication'
  | 'IndexCreation'
  | 'IndexRemoval'
  | 'OrphanRemoval'
  | 'Reindex'
  | 'Reorganization';

/** The mutation that plans the remedy, ready to paste: a plan changes nothing until it is started. */
export const planRemedy = (
  plan: PlanMutation,
  summary: string,
  input: Readonly<Record<string, unknown>>,
): Remedy => ({
  summary,
  mutation: `mutation Plan${plan}($input: Plan${plan}Input!) {\n  plan${plan}(input: $input) ${PLAN_FIELDS}\n}`,
  variables: { input },
});
