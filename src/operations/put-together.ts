import type { NewIndex } from '../domain/index-spec.ts';
import { Stop } from '../domain/stop.ts';
import { BUILD_SETTINGS } from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { TargetError } from '../target/sqlstate.ts';
import { readUnindexedLeaves } from '../target/unindexed-leaves.ts';

/** To take up indexes that are there is the work of a moment; to build one would keep writers out for all that time. */
const LIMITS = { lockTimeoutMs: 1_000, statementTimeoutMs: 2_500 };

/** Builds the index of a partitioned table out of those of its partitions. @throws Stop when it takes longer than a moment */
export async function putTogether(session: Session, { schema, name, definition }: NewIndex): Promise<void> {
  for (const setting of BUILD_SETTINGS) await session.script(setting);
  try {
    await session.bare(definition, LIMITS);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure !== 'CANCELLED') throw error;
    throw new Stop(
      'LOCKED',
      `Writers would have waited longer than ${LIMITS.statementTimeoutMs / 1000} s for ${schema}.${name}, so it was given up. Resume to try again.`,
      'PAUSED',
      { cause: error },
    );
  }
}

/** A partition that came since the plan was made would be built an index while its writers wait. @throws Stop */
export async function refuseUnindexed(session: Session, { tableOid, columns }: NewIndex): Promise<void> {
  if (columns === undefined) return;
  const [leaf] = await session.transaction(() => readUnindexedLeaves(session, tableOid, columns));
  if (leaf !== undefined)
    throw new Stop(
      'SCHEMA_DRIFT',
      `Not as planned: the partition ${leaf.schema}.${leaf.name} has no such index. Cancel and plan again; what is built is taken up then.`,
    );
}
