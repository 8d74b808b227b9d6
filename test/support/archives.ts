import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import type { ArchiveDestination, OperationSpec, PlanSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import { type ArchiveView, findArchiveByRun } from '../../src/store/archives.ts';
import type { RunView } from '../../src/store/runs.ts';
import type { TestEngine } from './engine.ts';

export type Archive = Extract<OperationSpec, { kind: 'ARCHIVE' }>;
export type Restore = Extract<OperationSpec, { kind: 'RESTORE' }>;

export const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' };
export const S3: ArchiveDestination = { kind: 'S3', store: 's3', format: 'COPY_ZSTD' };
export const TABLE: ArchiveDestination = { kind: 'TABLE', schema: 'public', table: 'kept' };

export const DESTINATIONS: readonly ArchiveDestination[] = [FILES, S3, TABLE];

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};

/** Of the rows up to an id. */
export const archiveUpTo = (id: number, destination: ArchiveDestination): Archive => ({
  kind: 'ARCHIVE',
  filter: { column: 'id', op: 'LE', value: String(id) },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination,
});

export async function archiveOf({ deps }: TestEngine, runId: string): Promise<ArchiveView> {
  const archive = await findArchiveByRun(deps.store, runId);
  if (!archive) throw new Error('The run has no archive');
  return archive;
}

export const verified = async (engine: TestEngine, runId: string, change: Partial<EngineDeps> = {}) =>
  makeArchiveUseCases({ ...engine.deps, ...change }).verify((await archiveOf(engine, runId)).id, BY);

/** Puts what a run has archived back where it was, unless told otherwise. */
export async function queueRestore(
  engine: TestEngine,
  sourceRunId: string,
  change: Partial<Restore> = {},
  plan: Partial<PlanSpec> = {},
): Promise<string> {
  const { id, schema, table } = await archiveOf(engine, sourceRunId);
  const restore: Restore = {
    kind: 'RESTORE',
    archiveId: id,
    sourceRunId,
    where: null,
    into: 'SOURCE',
    onConflict: 'REFUSE',
    schema,
    table,
    ...change,
  };
  return engine.queue({ schema, name: table }, restore, plan);
}

export const restored = async (
  engine: TestEngine,
  sourceRunId: string,
  change: Partial<Restore> = {},
  plan: Partial<PlanSpec> = {},
): Promise<RunView> => engine.work(await queueRestore(engine, sourceRunId, change, plan));
