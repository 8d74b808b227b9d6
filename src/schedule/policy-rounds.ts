import { DeclutterError } from '../errors.ts';
import { isStoreFailure } from '../store/open-store.ts';
import { openTicks } from '../store/policy-ticks.ts';
import { type PolicyTurnView, postponeTurn, type TakenTurn, takeTurn } from '../store/policy-turns.ts';
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
const LOOK_MS = 1_000;
/** A database that does not answer is asked again after this, so many times. */
const RETRY_MS = 60_000;
const ATTEMPTS = 3;
const PASSES: ReadonlySet<string> = new Set(['TARGET_UNREACHABLE', 'TARGET_BUSY', 'STORE_UNAVAILABLE']);

/**
 * Carries out the policies that are due, for as long as the process lives; many processes share the work. Ticks get their turns apart from
 * what is done in them: none counts as missed because others take long.
 */
export function startPolicyRounds(deps: PolicyRoundsDeps): Rounds {
  const rounds = { lookMs: LOOK_MS, ...deps };
  const { store, now, tell } = deps;
  const ticks = startRounds(rounds, {
    name: 'ticks',
    lanes: 1,
    take: async () => emptyAsNull(await openTicks(store, chooseTick, now?.() ?? null)),
    use: async (missed) => {
      for (const turn of missed)
        await tell(turn, { outcome: 'MISSED', detail: turn.detail, plan: null, run: null });
    },
  });
  const turns = startRounds(rounds, {
    name: 'policies',
    lanes: LANES,
    take: () => takeTurn(store),
    use: (taken) => useTurn(deps, taken),
  });
  return { stop: async () => void (await Promise.all([ticks.stop(), turns.stop()])) };
}

const emptyAsNull = <T>(list: readonly T[]) => (list.length === 0 ? null : list);

/** What keeps one policy from its run concerns none of the others. */
async function useTurn(deps: PolicyRoundsDeps, taken: TakenTurn): Promise<void> {
  const result = await resultOf(deps, taken);
  if (result !== null) await deps.tell(taken.turn, result);
}

async function resultOf(deps: PolicyRoundsDeps, taken: TakenTurn): Promise<TurnResult | null> {
  const { turn } = taken;
  if (turn.planId === null && turn.attempt > ATTEMPTS)
    return failed(deps, turn, 'The processes that planned it were lost, one after the other.');
  try {
    return await carryOut(deps, taken, null);
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
