import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, sql, toText } from '../../target/sql.ts';
import { readCatalog } from '../catalog-query.ts';
import { type AnalysisContext, defineAnalysis, type MeasuredTable } from '../define-analysis.ts';
import { durationInWords } from '../duration-in-words.ts';
import type { HorizonHolder } from '../read-horizon.ts';
import { serverNumber } from '../vacuum-settings.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Reports and backups of less than this are at work. */
const LONG_MS = HOUR_MS;
/** With dead rows that a VACUUM had to leave, less is long enough. */
const PROVEN_MS = 5 * MINUTE_MS;
/** Where no time is known: a slot that nobody reads from, and everything else. */
const MANY_FOR_IDLE = 10_000;
const MANY = 1_000_000;
const FEW_DEAD = 1_000;
/** Each holder is a finding; what stands behind so many others is not reached before they end. */
const MOST = 20;

/** Whoever keeps VACUUM from removing rows for so long that they pile up. */
export const vacuumBlocked = defineAnalysis({
  kind: 'VACUUM_BLOCKED',
  docs: 'docs/analyses/vacuum-blocked.md',
  find: async (context) => {
    const { holders, vacuum } = context.figures;
    const costs = {
      ROWS: deadRowsOf(context.figures.tables),
      CATALOGS: holders.some(({ holds }) => holds === 'CATALOGS') ? await deadCatalogRows(context) : 0,
    };
    if (!vacuum.seesAll && holders.some((holder) => isHidden(holder) && holder.transactions >= MANY_FOR_IDLE))
      context.unsure(
        { schema: null, table: null, index: null },
        `The age of sessions is hidden. ${grantFor(context)}`,
      );
    const blockers = holders
      .map((holder) => ({ holder, dead: costs[holder.holds], left: leftBehind(holder, context) }))
      .filter((blocker) => isBlocking(blocker, context));
    const byKey = new Map(blockers.reverse().map((blocker) => [keyOf(blocker.holder), blocker]));
    return [...byKey.values()]
      .reverse()
      .slice(0, MOST)
      .map((blocker) => faultOf(blocker, context));
  },
});

interface Blocker {
  readonly holder: HorizonHolder;
  /** in all tables of the database, or in the system catalogs: what it may keep, at most */
  readonly dead: number;
  /** tables that VACUUM has been at since, and had to leave dead rows in */
  readonly left: readonly MeasuredTable[];
}

const deadRowsOf = (tables: readonly MeasuredTable[]) =>
  tables.reduce((sum, table) => sum + (table.kind === 'PARTITIONED' ? 0 : table.deadRows), 0);

/** PostgreSQL's own relations have OIDs below 16384. */
async function deadCatalogRows({ session }: AnalysisContext): Promise<number> {
  const [row] = await readCatalog<{ dead: number }>(
    session,
    sql`SELECT coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_dead_tuples(c.oid)), 0)::float8 AS dead
          FROM pg_catalog.pg_class c WHERE c.oid < 16384 AND c.relkind IN ('r', 't')`,
  );
  return row?.dead ?? 0;
}

function leftBehind({ holds, since }: HorizonHolder, { figures }: AnalysisContext): MeasuredTable[] {
  if (holds === 'CATALOGS' || since === null) return [];
  return figures.tables
    .filter(
      ({ kind, deadRows, lastVacuumAt }) =>
        kind !== 'PARTITIONED' &&
        deadRows >= FEW_DEAD &&
        lastVacuumAt !== null &&
        since < new Date(lastVacuumAt),
    )
    .sort((a, b) => b.deadRows - a.deadRows);
}

const isHidden = ({ code, since }: HorizonHolder) => code === 'OLD_SNAPSHOT' && since === null;

/** Long, and not for nothing: dead rows wait, or transaction ids run out. */
function isBlocking({ holder, dead, left }: Blocker, context: AnalysisContext): boolean {
  if (dead < FEW_DEAD && holder.transactions < freezeAge(context) / 2) return false;
  if (holder.since === null) return holder.transactions >= (holder.isIdle ? MANY_FOR_IDLE : MANY);
  const age = ageOf(holder, context) ?? 0;
  return age >= LONG_MS || (age >= PROVEN_MS && left.length > 0);
}

const ageOf = ({ since }: HorizonHolder, { now }: AnalysisContext) =>
  since && now.getTime() - since.getTime();

const freezeAge = ({ figures }: AnalysisContext) =>
  serverNumber(figures.vacuum.server, 'autovacuum_freeze_max_age');

/** The same session, transaction, slot or standby tomorrow. A standby comes back with another pid. */
const keyOf = ({ code, pid, name }: HorizonHolder) =>
  `${code} ${code === 'OLD_SNAPSHOT' ? String(pid) : name}`;

function faultOf(blocker: Blocker, context: AnalysisContext): FoundFault {
  const { holder, dead, left } = blocker;
  const doubts = isHidden(holder) ? [`Since when is hidden from this role. ${grantFor(context)}`] : [];
  return {
    kind: 'VACUUM_BLOCKED',
    severity: severityOf(blocker, context),
    schema: null,
    table: null,
    index: null,
    columns: [],
    key: keyOf(holder),
    title: `${whoIs(holder)} keeps VACUUM from removing rows ${forHowLong(holder, context)}`,
    detail: [holder.detail, costInWords(blocker), ...doubts, adviceFor(holder)].join(' '),
    wastedBytes: null,
    rows: dead,
    evidence: {
      code: holder.code,
      holds: holder.holds,
      pid: holder.pid,
      name: holder.name,
      state: holder.state,
      since: holder.since?.toISOString() ?? null,
      transactions: holder.transactions,
      deadRows: dead,
      left: left.slice(0, 5).map(({ schema, name, deadRows }) => ({ schema, name, deadRows })),
      doubts,
    },
    remedy: null,
  };
}

function severityOf({ holder, dead }: Blocker, context: AnalysisContext): Severity {
  const { figures } = context;
  if (holder.transactions >= serverNumber(figures.vacuum.server, 'vacuum_failsafe_age')) return 'CRITICAL';
  const live = figures.tables.reduce(
    (sum, { kind, liveRows }) => sum + (kind === 'PARTITIONED' ? 0 : liveRows),
    0,
  );
  const isCostly = dead >= 1_000_000 || (dead >= 100_000 && dead >= live / 5);
  const isLong =
    (ageOf(holder, context) ?? 0) >= 24 * HOUR_MS || holder.transactions >= freezeAge(context) / 2;
  return isCostly || isLong ? 'WARNING' : 'NOTICE';
}

function whoIs({ code, pid, name }: HorizonHolder): string {
  switch (code) {
    case 'OLD_SNAPSHOT':
      return `Session ${pid ?? ''}${name === '' ? '' : ` "${name}"`}`;
    case 'PREPARED_TRANSACTION':
      return `The prepared transaction "${name}"`;
    case 'REPLICATION_SLOT':
      return `The replication slot "${name}"`;
    case 'STANDBY_FEEDBACK':
      return `The standby "${name}"`;
  }
}

function forHowLong(holder: HorizonHolder, context: AnalysisContext): string {
  const age = ageOf(holder, context);
  const where = holder.holds === 'CATALOGS' ? 'of the system catalogs ' : '';
  return age === null
    ? `${where}since ${holder.transactions} transactions`
    : `${where}for ${durationInWords(age)}`;
}

function costInWords({ holder, dead, left }: Blocker): string {
  if (holder.holds === 'CATALOGS')
    return `The system catalogs have ${dead} dead rows; user tables are not held back by it.`;
  const all = `${dead} dead rows wait in this database; it may keep all that died since it began.`;
  if (left.length === 0) return all;
  const named = left.slice(0, 3).map(({ schema, name, deadRows }) => `${schema}.${name} (${deadRows})`);
  return `${all} VACUUM has been at ${left.length} tables meanwhile and had to leave theirs: ${named.join(', ')}.`;
}

/** Statements for people to send: nobody's session is ended by us. */
function adviceFor({ code, pid, name, state, isIdle }: HorizonHolder): string {
  switch (code) {
    case 'OLD_SNAPSHOT':
      return sessionAdvice(pid, name, state);
    case 'PREPARED_TRANSACTION':
      return `Ask whoever prepared it, then in this database: ${toText(sql`COMMIT PREPARED ${name}`)}; or ${toText(sql`ROLLBACK PREPARED ${name}`)};`;
    case 'REPLICATION_SLOT':
      return isIdle
        ? `It keeps WAL on the disk, too. If its consumer is gone for good: ${toText(sql`SELECT pg_catalog.pg_drop_replication_slot(${name})`)};`
        : 'Its consumer is connected, and behind: look there at what it waits for.';
    case 'STANDBY_FEEDBACK':
      return 'End the long query on the standby, or set hot_standby_feedback = off there: then queries on it may be cancelled instead.';
  }
}

function sessionAdvice(pid: number | null, name: string, state: string | null): string {
  if (name.startsWith('declutter/')) return 'It is a run of Declutter: cancelRun or pauseRun ends it.';
  const idle =
    state?.startsWith('idle in transaction') === true
      ? ' It does nothing and has forgotten to commit: idle_in_transaction_session_timeout would end such sessions.'
      : '';
  return `Ask its owner to commit or roll back; else: SELECT pg_catalog.pg_terminate_backend(${pid ?? ''});${idle}`;
}

const grantFor = ({ figures }: AnalysisContext) =>
  `GRANT pg_read_all_stats TO ${toText(ident(figures.vacuum.role))}; shows it.`;
