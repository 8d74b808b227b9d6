import { DeclutterError } from '../errors.ts';
import { isStoreFailure } from '../store/open-store.ts';
import { takeTick } from '../store/policy-ticks.ts';
import { type PolicyTurnView, postponeTurn, takeTurn, thinTurns } from '../store/policy-turns.ts';
import { type CarryOutDeps, carryOut, settle, type TurnResult } from './carry-out.ts';
import { chooseTick } from './choose-tick.ts';
import { type Rounds, type RoundsDeps, startRounds } from './rounds.ts';

export interface PolicyRoundsDeps extends RoundsDeps, CarryOutDeps {
  /** Who has to know hears what came of a tick. */
  readonly tell: (turn: PolicyTurnView, result: TurnResult) => Promise<void>;
  /** Another time than the control store's: ticks are due by it. */
  readonly now?: () => Date;
}

/** Planning one policy holds up one of these; the others go on. */
const LANES = 2;
const LOOK_MS = 2_000;
/** A database that does not answer is asked again after this, so many times. */
const RETRY_MS = 60_000;
const ATTEMPTS = 3;
const PASSES: ReadonlySet<string> = new Set(['TARGET_UNREACHABLE', 'TARGET_BUSY', 'STORE_UNAVAILABLE']);

/** Carries out the policies that are due, for as long as the process lives; many processes share the work. */
export const startPolicyRounds = (deps: PolicyRoundsDeps): Rounds =>
  startRounds(
    { lookMs: LOOK_MS, ...deps },
    { name: 'policies', lanes: LANES, take: () => takeDue(deps), use: (turn) => useTurn(deps, turn) },
  );

async function takeDue({ store, now }: PolicyRoundsDeps): Promise<PolicyTurnView | null> {
  const left = await takeTurn(store);
  if (left !== null) return left;
  for (;;) {
    const turn = await takeTick(store, chooseTick, now?.() ?? null);
    if (turn !== 'WAITS') return turn;
  }
}

/** What keeps one policy from its run concerns none of the others. */
async function useTurn(deps: PolicyRoundsDeps, turn: PolicyTurnView): Promise<void> {
  const result = await resultOf(deps, turn);
  if (result === null) return;
  await deps.tell(turn, result);
  await thinTurns(deps.store, turn.policyName);
}

async function resultOf(deps: PolicyRoundsDeps, turn: PolicyTurnView): Promise<TurnResult | null> {
  if (turn.outcome === 'MISSED') return { outcome: 'MISSED', detail: turn.detail, plan: null, run: null };
  if (turn.planId === null && turn.attempt > ATTEMPTS)
    return failed(deps, turn, 'The processes that planned it were lost, one after the other.');
  try {
    return await carryOut(deps, turn, null);
  } catch (error) {
    if (isStoreFailure(error)) throw error;
    return afterFailure(deps, turn, error);
  }
}

async function afterFailure(
  deps: PolicyRoundsDeps,
  turn: PolicyTurnView,
  error: unknown,
): Promise<TurnResult | null> {
  const known = error instanceof DeclutterError ? error : null;
  const policy = turn.policyName;
  if (known !== null && PASSES.has(known.code) && turn.attempt < ATTEMPTS) {
    deps.log.warn({ err: error, policy }, 'a policy could not be carried out; it is tried again soon');
    await postponeTurn(deps.store, turn, 'PLANNING', `${known.code}: ${known.message}`, RETRY_MS);
    return null;
  }
  if (known === null) deps.log.error({ err: error, policy }, 'a policy failed unexpectedly');
  return failed(
    deps,
    turn,
    known === null ? 'Unexpected; the log has it.' : `${known.code}: ${known.message}`,
  );
}

const failed = (deps: PolicyRoundsDeps, turn: PolicyTurnView, detail: string) =>
  settle(deps, turn, { outcome: 'FAILED', detail, plan: null, run: null });
