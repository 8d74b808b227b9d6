import type { HorizonHolder } from '../analysis/read-horizon.ts';
import type { PlanImpact, PlanNotice, VacuumOptions } from '../domain/plan.ts';
import type { Throttle } from '../domain/run.ts';
import { isRestless } from '../domain/throttle.ts';
import type { Relation } from '../target/catalog.ts';
import { analyzeSql, vacuumSettings, vacuumSql } from '../target/reorganization-sql.ts';
import type { MethodForecast } from './method-forecast.ts';
import { nameOf, notice } from './plan-context.ts';
import { type Counters, freezeShare, type TableLook } from './table-look.ts';

/** Freezing all rows is due soon after this share of the age at which autovacuum must come. */
export const FREEZE_SHARE = 0.8;
/** As min_parallel_index_scan_size: a worker for a smaller index costs more than it brings. */
const PARALLEL_INDEX_BYTES = 512 * 1024;
/** Plain VACUUM passes the indexes by where fewer pages than this share have dead rows. */
const BYPASSED_SHARE = 0.02;

const READ_BYTES_PER_SECOND = 100_000_000;
const BLOCK_BYTES = 8_192;
/** A page that is read costs 2 and one that is dirtied 20, of the 200 after which VACUUM rests (server defaults). */
const COSTS = { read: 2, dirtied: 20, limit: 200 };

const SHARED_LOCK = 'SHARE UPDATE EXCLUSIVE';

export function vacuumForecast(look: TableLook, throttle: Throttle): MethodForecast {
  const { relation, counters } = look;
  const settings = settingsFor(look, throttle);
  const statement = vacuumSql(relation, settings);
  return {
    operation: { kind: 'REORGANIZATION', method: 'VACUUM', settings },
    wins: true,
    why: whyVacuum(counters),
    impact: impactOf(look, settings),
    effects: [],
    locks: [{ relation: nameOf(relation), mode: SHARED_LOCK, longestMs: null }],
    blockers: [],
    warnings: heldBack(look),
    steps: [
      {
        description: `${whatItDoes(relation, settings)}; readers and writers go on`,
        sql: [...vacuumSettings(settings), statement].join('; '),
      },
    ],
  };
}

export function analyzeForecast({ relation }: Pick<TableLook, 'relation'>): MethodForecast {
  return {
    operation: { kind: 'REORGANIZATION', method: 'ANALYZE' },
    wins: true,
    why: 'It renews the statistics by which queries are planned.',
    impact: { ...NOTHING, estimatedSeconds: 2 },
    effects: [],
    locks: [{ relation: nameOf(relation), mode: SHARED_LOCK, longestMs: null }],
    blockers: [],
    warnings: [],
    steps: [{ description: `Renew the statistics of ${nameOf(relation)}`, sql: analyzeSql(relation) }],
  };
}

const whyVacuum = ({ live, dead }: Counters) =>
  `${dead} rows are dead beside ${live} live ones: their space becomes reusable.`;

const NOTHING: PlanImpact = {
  rows: 0,
  rowsAreExact: true,
  share: 0,
  bytes: 0,
  estimatedSeconds: 0,
  walBytes: 0,
  diskNeededBytes: 0,
  bytesReclaimed: 0,
  bytesReusable: 0,
};

function settingsFor({ relation, counters }: TableLook, throttle: Throttle): VacuumOptions {
  const { idAge, failsafeAge, live, dead, maxParallel } = counters;
  const isUrgent = idAge.XID >= failsafeAge.XID || idAge.MULTIXACT >= failsafeAge.MULTIXACT;
  const large = relation.indexes.filter(({ sizeBytes }) => sizeBytes >= PARALLEL_INDEX_BYTES).length;
  return {
    freeze: freezeShare(counters) >= FREEZE_SHARE,
    indexCleanup: isUrgent ? 'OFF' : dead >= BYPASSED_SHARE * live && dead > 0 ? 'ON' : 'AUTO',
    // The session's own process takes one of them. Workers make it shorter and louder: not where rest is wanted.
    parallel: isRestless(throttle) ? Math.min(Math.max(0, large - 1), maxParallel) : 0,
    costDelayMs: isUrgent || isRestless(throttle) ? 0 : throttle.dutyCycle < 0.1 ? 10 : 2,
  };
}

function whatItDoes(relation: Relation, settings: VacuumOptions): string {
  const parts = [
    `Make the space of dead rows in ${nameOf(relation)}, its TOAST table and its indexes reusable`,
    ...(settings.freeze ? ['freeze its rows against wraparound'] : []),
    ...(settings.indexCleanup === 'OFF' ? ['leave the indexes for later, since freezing is urgent'] : []),
    'renew its statistics',
  ];
  const rest =
    settings.costDelayMs === 0 ? '' : `, resting ${settings.costDelayMs} ms each time it has done some work`;
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}${rest}`;
}

/** How much it writes depends on where the dead rows lie; each is taken to be in a block of its own. */
function impactOf({ relation, counters }: TableLook, settings: VacuumOptions): PlanImpact {
  const { live, dead } = counters;
  const blocks = relation.totalBytes / BLOCK_BYTES;
  const dirtied = settings.freeze ? blocks : Math.min(blocks, dead);
  const cost = blocks * COSTS.read + dirtied * COSTS.dirtied;
  const rest = ((cost / COSTS.limit) * settings.costDelayMs) / 1_000;
  return {
    ...NOTHING,
    bytes: relation.totalBytes,
    estimatedSeconds: Math.ceil(relation.totalBytes / READ_BYTES_PER_SECOND + rest) + 1,
    walBytes: Math.round(dirtied * BLOCK_BYTES),
    bytesReusable: Math.round((relation.heapBytes * dead) / Math.max(live + dead, 1)),
  };
}

const LONG_MS = 60_000;

/** With an old snapshot open VACUUM removes nothing that has died since. */
export function heldBack({ holders, now }: Pick<TableLook, 'holders' | 'now'>): PlanNotice[] {
  return holders
    .filter(({ code, since }) => code !== 'OLD_SNAPSHOT' || since === null || isLong(since, now))
    .slice(0, 3)
    .map(({ detail, code }) => notice('VACUUM_HELD_BACK', detail, HINTS[code]));
}

const isLong = (since: Date, now: Date) => now.getTime() - since.getTime() >= LONG_MS;

const HINTS: Readonly<Record<HorizonHolder['code'], string>> = {
  OLD_SNAPSHOT: 'Let that transaction end first.',
  PREPARED_TRANSACTION: 'COMMIT PREPARED or ROLLBACK PREPARED it first.',
  REPLICATION_SLOT: 'Let its reader catch up, or drop the slot if nobody reads it any more.',
  STANDBY_FEEDBACK: 'Let the long query on the standby end first.',
};
