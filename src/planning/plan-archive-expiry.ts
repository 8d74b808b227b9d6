import { holdersOf } from '../domain/archive-tables.ts';
import { createHash } from 'node:crypto';
import type { PlanStep } from '../domain/plan.ts';
import { throttleFrom } from '../domain/throttle.ts';
import { notFound } from '../errors.ts';
import {
  allSegments,
  type ArchiveSegmentView,
  type ArchiveView,
  findArchiveById,
} from '../store/archives.ts';
import type { Store } from '../store/open-store.ts';
import { ident, sql, toText } from '../target/sql.ts';
import { checkExpiry } from './check-expiry.ts';
import { checkServer } from './check-subject.ts';
import { LEDGER_STEP } from './deletion-steps.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { type Draft, NO_LIMITS } from './save-plan.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @throws NOT_FOUND */
export async function requireArchive(store: Store, id: string): Promise<ArchiveView> {
  const archive = UUID.test(id) ? await findArchiveById(store, id) : null;
  if (archive === null) throw notFound('The archive');
  return archive;
}

/** The end of an archive: its segments are destroyed, and what it was stays listed. */
export async function planArchiveExpiry(context: PlanContext, archive: ArchiveView): Promise<Draft> {
  const { deps, session } = context;
  const segments = await allSegments(deps.store, archive.id);
  const holders = holdersOf(archive.content);
  return {
    operation: {
      kind: 'ARCHIVE_EXPIRY',
      archiveId: archive.id,
      schema: archive.schema,
      table: archive.table,
      segments: digestOf(segments),
    },
    relations: [],
    subject: { schema: archive.schema, name: archive.table },
    limits: NO_LIMITS,
    throttle: throttleFrom(null),
    holds: [],
    cutoff: null,
    impact: {
      rows: archive.rows,
      rowsAreExact: true,
      share: 1,
      bytes: archive.bytes,
      estimatedSeconds: Math.ceil(segments.length * SECONDS_PER_SEGMENT),
      walBytes: 0,
      diskNeededBytes: 0,
      bytesReclaimed: archive.bytes,
    },
    effects: [],
    locks: holders.map((holder) => ({ relation: nameOf(holder), mode: 'ACCESS EXCLUSIVE', longestMs: null })),
    blockers: [
      ...checkServer(context),
      ...(await storeBlockers(context, archive)),
      ...(await checkExpiry(deps.store, session, archive)),
    ],
    warnings: [],
    steps: [LEDGER_STEP, ...stepsOf(archive, segments)],
    sample: [],
  };
}

/** Of what the run will destroy: an archive that has got another segment since is another one. */
export const digestOf = (segments: readonly ArchiveSegmentView[]): string =>
  createHash('sha256')
    .update(JSON.stringify(segments.map(({ location, sha256 }) => [location, sha256])))
    .digest('hex');

/** A look at the table's holds, a file to remove, an entry in the ledger, and the rest after it. */
const SECONDS_PER_SEGMENT = 0.05;

async function storeBlockers({ deps }: PlanContext, { kind, store }: ArchiveView) {
  if (kind === 'TABLE') return [];
  const kept = deps.archiveStores.get(store ?? '');
  if (kept === undefined)
    return [notice('UNKNOWN_STORE', `No archive store named "${store ?? ''}" is configured.`)];
  const trouble = await kept.trouble();
  return trouble === null
    ? []
    : [notice('ARCHIVE_STORE_TROUBLE', trouble, 'Mend the store, then plan again.')];
}

function stepsOf(
  { kind, store, content }: ArchiveView,
  segments: readonly ArchiveSegmentView[],
): Omit<PlanStep, 'position'>[] {
  if (kind === 'TABLE') {
    return holdersOf(content).map((holder) => ({
      description: `Drop the table ${nameOf(holder)} with the rows in it`,
      sql: toText(sql`DROP TABLE IF EXISTS ${ident(holder.schema, holder.name)}`),
    }));
  }
  const where = kind === 'S3' ? 'bucket' : 'folder';
  return [
    {
      description: `Write into the manifest, in the ${where} of the store "${store ?? ''}", that the archive is no more`,
      sql: '',
    },
    { description: `Remove its ${segments.length} segments, one after the other, for good`, sql: '' },
  ];
}
