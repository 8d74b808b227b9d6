import type { PolicyDraft } from '../domain/policy.ts';
import type { Principal } from '../domain/principal.ts';
import { type PlanKind, Role } from '../domain/words.ts';
import type { PolicyTurnView } from '../store/policy-turns.ts';
import type { PlanView } from '../store/plans.ts';

/** What a policy may do: the field of its input, and the kind of the plans that it makes. */
export const POLICY_KINDS = {
  purge: 'PURGE',
  archive: 'ARCHIVE',
  deduplication: 'DEDUPLICATION',
  orphanRemoval: 'ORPHAN_REMOVAL',
  reorganization: 'REORGANIZATION',
  reindex: 'REINDEX',
} as const satisfies Readonly<Record<string, PlanKind>>;

export type PolicyField = keyof typeof POLICY_KINDS;

/** Makes a plan of that input; the inputs are those that the API has checked the shape of. */
export type MakePlan = (field: PolicyField, input: object, by: Principal) => Promise<PlanView>;

const MAX_REASON = 1_000;

/** The plan of a turn, in the name of whoever saved the policy or asked for it: nobody approves a plan of their own. */
export function planOf(
  plan: MakePlan,
  policy: PolicyDraft,
  turn: PolicyTurnView,
  by: Principal | null,
): Promise<PlanView> {
  const { reason, ...input } = policy.input as { reason?: string | null };
  const why = turn.tickAt === null ? 'run by hand' : `due ${turn.tickAt.toISOString()}`;
  const words = `Policy ${policy.name}, ${why}${reason == null ? '' : `: ${reason}`}`;
  const windowed = { ...input, ...windowOf(policy), reason: words.slice(0, MAX_REASON) };
  return plan(fieldOf(policy.kind), windowed, by ?? principalOf(turn));
}

/** The run keeps to the window of the policy, unless its throttle has one of its own. Rebuilding indexes has no throttle. */
function windowOf({ kind, window, timeZone, input }: PolicyDraft): { readonly throttle?: object } {
  if (window === null || kind === 'REINDEX') return {};
  const throttle = (input['throttle'] ?? {}) as { readonly window?: object | null };
  return { throttle: { ...throttle, window: throttle.window ?? { ...window, timeZone } } };
}

/** An operator, whatever roles the person has by now: what a policy may do was decided when it was saved. */
export const principalOf = ({ requestedBy }: PolicyTurnView): Principal => ({
  subject: requestedBy,
  clientId: null,
  roles: [Role.OPERATOR],
  isMachine: true,
  mayApprove: false,
});

const fieldOf = (kind: PlanKind): PolicyField => {
  const [field] = Object.entries(POLICY_KINDS).find(([, known]) => known === kind) ?? [];
  if (field === undefined) throw new TypeError(`No policy does ${kind}.`);
  return field as PolicyField;
};

/** Whether somebody has to say yes to it first: it is larger than the policy allows, or nobody knows how large it is. */
export function isAbove(maxRows: number | null, { spec }: Pick<PlanView, 'spec'>): boolean {
  if (maxRows === null) return false;
  const included = spec.included === undefined ? 0 : spec.included;
  return !spec.rowsAreExact || included === null || spec.rows + included > maxRows;
}
