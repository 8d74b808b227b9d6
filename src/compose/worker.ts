import { startWorker } from '../engine/worker.ts';
import { HEALTH_CHECKS } from '../engine/throttle-registry.ts';
import { setFailpoints } from '../failpoint.ts';
import type { Operation } from '../operations/define-operation.ts';
import { archive } from '../operations/kinds/archive.ts';
import { archiveExpiry } from '../operations/kinds/archive-expiry.ts';
import { orphanRemoval } from '../operations/kinds/orphan-removal.ts';
import { indexCreation } from '../operations/kinds/index-creation.ts';
import { indexRemoval } from '../operations/kinds/index-removal.ts';
import { deduplication } from '../operations/kinds/deduplication.ts';
import { purge } from '../operations/kinds/purge.ts';
import { reindex } from '../operations/kinds/reindex.ts';
import { reorganization } from '../operations/kinds/reorganization.ts';
import { restore } from '../operations/kinds/restore.ts';
import type { CarryOutDeps } from '../schedule/carry-out.ts';
import { startPolicyRounds } from '../schedule/policy-rounds.ts';
import { startSnapshotRounds } from '../schedule/snapshot-rounds.ts';
import { makeTellPolicy } from '../schedule/tell-policy.ts';
import { startVerificationRounds } from '../schedule/verification-rounds.ts';
import { makeAudit } from '../store/audit.ts';
import { loadPlan } from './load-plan.ts';
import type { Parts } from './parts.ts';

/** How many runs one worker process works on at once; each of them rests most of its time. */
const CONCURRENCY = 4;

/** An operation only ever gets the specs of its own kind. */
const OPERATIONS: ReadonlyMap<string, Operation> = new Map(
  [
    archive,
    archiveExpiry,
    deduplication,
    indexCreation,
    indexRemoval,
    orphanRemoval,
    purge,
    reindex,
    reorganization,
    restore,
  ].map((operation) => [operation.kind, operation as unknown as Operation]),
);

/** Takes runs, and the policies and snapshots that are due, from now on. */
export async function openWorker(parts: Parts, stack: AsyncDisposableStack): Promise<void> {
  const { config, store } = parts;
  setFailpoints(config.failpoints);
  if (config.snapshotEveryMs !== null) {
    const rounds = startSnapshotRounds({
      ...parts,
      everyMs: config.snapshotEveryMs,
      takeSnapshot: (databaseId) => takeSnapshot(parts, databaseId),
    });
    stack.defer(() => rounds.stop());
  }
  if (config.verify.everyMs !== null) {
    const rounds = startVerificationRounds({
      ...parts,
      everyMs: config.verify.everyMs,
      verify: (archiveId) => verifyOnSchedule(parts, archiveId),
    });
    stack.defer(() => rounds.stop());
  }
  const policies = startPolicyRounds({
    ...parts,
    ...policyWork(parts),
    tell: makeTellPolicy({ ...parts, audit: makeAudit(store) }),
  });
  stack.defer(() => policies.stop());
  const worker = await startWorker({
    ...parts,
    times: config.lease,
    concurrency: CONCURRENCY,
    operations: OPERATIONS,
    healthChecks: HEALTH_CHECKS,
    loadPlan: loadPlan(store),
  });
  stack.defer(() => worker.stop());
}

/** A worker that takes runs only stays small: what looks at databases is loaded once a snapshot is due. */
async function takeSnapshot(parts: Parts, databaseId: string): Promise<void> {
  const { makeAnalysisUseCases } = await import('../analysis/analysis-use-cases.ts');
  const { analysisDeps } = await import('./analysis-deps.ts');
  await makeAnalysisUseCases(analysisDeps(parts)).takeSnapshot(databaseId);
}

/** The same as verifyArchive, at a pace that leaves room for others. */
async function verifyOnSchedule(parts: Parts, archiveId: string) {
  const { pacedVerification } = await import('../archive/paced-verification.ts');
  return pacedVerification(parts, archiveId, parts.config.verify.bytesPerSecond);
}

/** What plans is loaded once a policy is due, for the same reason. */
function policyWork(parts: Parts): Pick<CarryOutDeps, 'plan' | 'start'> {
  const load = async () => (await import('./policy-work.ts')).makePolicyWork(parts);
  return {
    plan: async (...input) => (await load()).plan(...input),
    start: async (...input) => (await load()).start(...input),
  };
}
