import { destinationOf } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { DeclutterError } from '../errors.ts';
import { laneName } from '../target/ledger.ts';
import { BATCH_SETTINGS, type Session, type SessionSettings } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { Ending } from './endings.ts';
import type { EngineDeps, Turn } from './execute-run.ts';
import { Foreground } from './foreground.ts';
import { HealthWatch } from './health-watch.ts';

/** What a registration forbids (another server answers, a host or a password reference no longer allowed) is no crash. */
export async function connect(
  deps: EngineDeps,
  { claim }: Turn,
  settings: SessionSettings,
): Promise<Session> {
  try {
    return await deps.connect(claim.databaseId, settings);
  } catch (error) {
    if (!(error instanceof DeclutterError) || error instanceof TargetError) throw error;
    if (error.code === 'PRECONDITION_FAILED')
      throw new Stop('IDENTITY_CHANGED', error.message, 'FAILED', { cause: error });
    throw new Stop('UNREACHABLE', error.message, 'PAUSED', { cause: error });
  }
}

/** Sessions for batches, opened when they are wanted and dropped at the end of the turn. */
export async function withLanes(
  deps: EngineDeps,
  turn: Turn,
  work: (openLane: (lane: number) => Promise<Session>, lanes: readonly Session[]) => Promise<Ending>,
): Promise<Ending> {
  const sessions: Session[] = [];
  try {
    return await work(async (lane) => {
      const applicationName = laneName(turn.claim.runId, lane);
      const session = await connect(deps, turn, { ...BATCH_SETTINGS, applicationName });
      sessions.push(session);
      return session;
    }, sessions);
  } finally {
    for (const session of sessions) session.destroy();
  }
}

/** Measures beside the batches what others notice of them. */
export async function withForeground(
  deps: EngineDeps,
  turn: Turn,
  work: (foreground: Foreground) => Promise<Ending>,
): Promise<Ending> {
  const { runId } = turn.claim;
  const settings = { ...BATCH_SETTINGS, applicationName: `declutter/${runId}/probe` };
  const throttle = () => turn.lease.latest.throttle;
  const foreground = new Foreground(() => connect(deps, turn, settings), runId, deps.clock, throttle);
  await foreground.start();
  try {
    return await work(foreground);
  } finally {
    await foreground.stop();
  }
}

/** Asks beside the batches whether the run may go on. */
export async function withHealth(
  deps: EngineDeps,
  sessions: { monitor: Session; workers: () => readonly Session[] },
  { lease, plan }: Turn,
  work: (health: HealthWatch) => Promise<Ending>,
): Promise<Ending> {
  const { operation, relations } = plan.spec;
  const destination = destinationOf(operation);
  const store = destination !== null && 'store' in destination ? destination.store : '';
  const watched = {
    ...sessions,
    tables: relations.map(({ oid }) => oid),
    archiveFreeBytes: async () => (await deps.archiveStores.get(store)?.freeBytes()) ?? null,
  };
  const health = new HealthWatch(deps.healthChecks, watched, deps.clock, () => lease.latest.throttle);
  await health.start();
  try {
    return await work(health);
  } finally {
    await health.stop();
  }
}
