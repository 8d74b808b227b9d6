import type { PolicyOutcome } from '../domain/words.ts';
import type { Log } from '../log.ts';
import type { Audit } from '../store/audit.ts';
import type { PolicyTurnView } from '../store/policy-turns.ts';
import type { TurnResult } from './carry-out.ts';

/** Somebody has to look. */
const WANTS_SOMEBODY: ReadonlySet<PolicyOutcome> = new Set(['WAITING', 'BLOCKED', 'MISSED', 'FAILED']);

/** What came of a tick stands in the log and, like every mutation, in the audit chain. */
export const makeTellPolicy =
  ({ log, audit }: { readonly log: Log; readonly audit: Pick<Audit, 'record'> }) =>
  async (turn: PolicyTurnView, { outcome, detail, plan, run }: TurnResult): Promise<void> => {
    const facts = {
      policy: turn.policyName,
      tickAt: turn.tickAt?.toISOString() ?? null,
      outcome,
      planId: plan?.id ?? turn.planId,
      runId: run?.id ?? null,
    };
    if (WANTS_SOMEBODY.has(outcome)) log.warn(facts, `a policy wants somebody: ${detail ?? outcome}`);
    else log.info(facts, detail ?? 'a policy has started its run');
    await audit.record({
      actor: turn.requestedBy,
      action: 'policyTick',
      subject: turn.policyName,
      outcome,
      detail: { ...facts, detail },
    });
  };
