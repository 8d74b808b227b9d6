import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, toText } from '../../target/sql.ts';
import { type AnalysisContext, defineAnalysis } from '../define-analysis.ts';
import { countsToKeep, type IdRate, rateOf } from '../id-rate.ts';
import {
  type AgedDatabase,
  type AgedRelation,
  type Ages,
  type IdCount,
  type IdKind,
  readAges,
} from '../read-ages.ts';
import { planRemedy } from '../remedies.ts';
import { serverNumber, settingsFor, toastOptions } from '../vacuum-settings.ts';

/** Three million ids before the numbers come round PostgreSQL takes no more writes. */
const LIMIT = 2 ** 31 - 1 - 3_000_000;
/** Autovacuum starts at freeze_max_age and takes its time; beyond this it is late, beyond the next it does not keep up. */
const LATE = 1.05;
const NOT_KEEPING_UP = 1.25;
const MOST = 100;

/** Tables and databases whose oldest transaction ids are not frozen in time. */
export const wraparoundRisk = defineAnalysis({
  kind: 'WRAPAROUND_RISK',
  docs: 'docs/analyses/wraparound-risk.md',
  find: async (context) => {
    const server = serverLimits(context);
    const ages = await readAges(context.session, {
      XID: server.XID.freezeMaxAge,
      MULTIXACT: server.MULTIXACT.freezeMaxAge,
    });
    const counts = countsToKeep(await keptCounts(context), ages.now);
    const around = { context, counts, ages };
    const tables = worstOfEach(ages.relations.flatMap((relation) => risksOf(relation, context)));
    for (const { relation } of tables.slice(MOST))
      context.unsure(
        { schema: relation.schema, table: relation.table, index: null },
        `More than ${MOST} tables are as old.`,
      );
    return [
      ...tables.slice(0, MOST).map((risk) => tableFault(risk, around)),
      ...otherDatabases(ages.databases, server).map((risk) => databaseFault(risk, around)),
    ];
  },
});

interface Limits {
  readonly freezeMaxAge: number;
  readonly failsafeAge: number;
}

interface Risk {
  readonly kind: IdKind;
  readonly age: number;
  readonly limits: Limits;
}

type TableRisk = Risk & { readonly relation: AgedRelation };

interface Around {
  readonly context: AnalysisContext;
  readonly counts: readonly IdCount[];
  readonly ages: Ages;
}

const KINDS: readonly IdKind[] = ['XID', 'MULTIXACT'];
const PREFIX: Readonly<Record<IdKind, string>> = { XID: '', MULTIXACT: 'multixact_' };

function serverLimits({ figures }: AnalysisContext): Readonly<Record<IdKind, Limits>> {
  const of = (kind: IdKind): Limits => {
    const number = (name: string) => serverNumber(figures.vacuum.server, name);
    const freezeMaxAge = number(`autovacuum_${PREFIX[kind]}freeze_max_age`);
    // The failsafe never comes before 1.05 times the age of forced vacuums, whatever it is set to.
    return {
      freezeMaxAge,
      failsafeAge: Math.max(number(`vacuum_${PREFIX[kind]}failsafe_age`), 1.05 * freezeMaxAge),
    };
  };
  return { XID: of('XID'), MULTIXACT: of('MULTIXACT') };
}

/** By the table's own age of forced vacuums, which can only be lower than the server's. */
function risksOf(relation: AgedRelation, context: AnalysisContext): TableRisk[] {
  if (relation.schema === 'declutter') return [];
  const { server } = context.figures.vacuum;
  const options = relation.isToast ? toastOptions(relation.toastOptions, relation.options) : relation.options;
  const own = settingsFor(server, options);
  const limits = serverLimits(context);
  return KINDS.map((kind) => ({
    kind,
    relation,
    age: relation.age[kind],
    limits: { ...limits[kind], freezeMaxAge: kind === 'XID' ? own.freezeMaxAge : own.multixactFreezeMaxAge },
  })).filter(isLate);
}

const isLate = ({ age, limits }: Risk) => age >= Math.min(LATE * limits.freezeMaxAge, 0.9 * LIMIT);

/** A table and its TOAST table, ids of either kind: the oldest tells. Of what belongs to nobody the oldest one stands for all. */
function worstOfEach(risks: readonly TableRisk[]): TableRisk[] {
  const byTable = Map.groupBy(risks, ({ relation }) =>
    ownership(relation) === 'USER' ? relation.oid : ownership(relation),
  );
  return [...byTable.values()]
    .map((list) => list.reduce((worst, risk) => (risk.age > worst.age ? risk : worst)))
    .sort((a, b) => b.age - a.age);
}

const ownership = ({ isTemporary, schema }: AgedRelation) =>
  isTemporary ? 'TEMPORARY' : schema.startsWith('pg_') || schema === 'information_schema' ? 'SYSTEM' : 'USER';

/** The oldest database sets the limit for all of them: the others than ours, which has tables of its own to name. */
function otherDatabases(
  databases: readonly AgedDatabase[],
  limits: Readonly<Record<IdKind, Limits>>,
): (Risk & { readonly database: AgedDatabase })[] {
  const found = KINDS.flatMap((kind) => {
    const [oldest] = databases.toSorted(
      (a, b) => b.age[kind] - a.age[kind] || Number(b.isCurrent) - Number(a.isCurrent),
    );
    if (oldest === undefined || oldest.isCurrent) return [];
    return [{ kind, database: oldest, age: oldest.age[kind], limits: limits[kind] }].filter(isLate);
  });
  return found.filter(
    ({ database }, position) => found.findIndex((other) => other.database === database) === position,
  );
}

/** Kept in the evidence of these findings: the server has no memory of it. */
async function keptCounts({ memory }: AnalysisContext): Promise<IdCount[]> {
  const lists = (await memory.findings()).map(({ evidence }) => (evidence['counts'] ?? []) as IdCount[]);
  return lists.reduce((longest, list) => (list.length > longest.length ? list : longest), []);
}

export function riskSeverity({ age, limits }: Risk, days: number | null): Severity {
  if (age >= Math.min(limits.failsafeAge, 0.9 * LIMIT) || (days !== null && days < 7)) return 'CRITICAL';
  if (age >= LIMIT / 2 || (days !== null && days < 30)) return 'WARNING';
  return age >= NOT_KEEPING_UP * limits.freezeMaxAge ? 'NOTICE' : 'INFO';
}

/** Unknown, rather than wrong, where nothing tells how fast ids are used. */
function outlook(risk: Risk, { counts, ages }: Around): { rate: IdRate | null; daysLeft: number | null } {
  const rate = rateOf(risk.kind, ages.now, counts, ages.checkpoint);
  return { rate, daysLeft: rate && Math.floor(Math.max(LIMIT - risk.age, 0) / rate.perDay) };
}

function faultOf(
  risk: Risk,
  around: Around,
  own: Pick<FoundFault, 'schema' | 'table' | 'title' | 'detail' | 'remedy'>,
): FoundFault {
  const { rate, daysLeft } = outlook(risk, around);
  const certain = rate?.from === 'HISTORY' ? daysLeft : null;
  return {
    kind: 'WRAPAROUND_RISK',
    severity: riskSeverity(risk, certain),
    index: null,
    columns: [],
    wastedBytes: null,
    rows: null,
    evidence: {
      ids: risk.kind,
      age: risk.age,
      freezeMaxAge: risk.limits.freezeMaxAge,
      failsafeAge: risk.limits.failsafeAge,
      limit: LIMIT,
      share: risk.age / LIMIT,
      daysLeft,
      rate,
      counts: around.counts,
    },
    ...own,
  };
}

function tableFault(risk: TableRisk, around: Around): FoundFault {
  const { relation, kind, age, limits } = risk;
  const { schema, table } = relation;
  const { context } = around;
  const owner = ownership(relation);
  const holder = holderOf(risk, context);
  const fault = faultOf(risk, around, {
    schema: owner === 'USER' ? schema : null,
    table: owner === 'USER' ? table : null,
    title: `${schema}.${table}: ${IDS[kind]} are ${age} old, of ${LIMIT} that are possible`,
    detail: [
      `${relation.isToast ? 'Its TOAST table holds' : 'It holds'} ${IDS[kind]} that are ${age} old; VACUUM is forced from ${limits.freezeMaxAge} on.`,
      ...whoIsThere(risk, context),
      ...(holder ? [`VACUUM cannot freeze it before this ends: ${holder.detail}`] : []),
      timeLeft(risk, around),
      advice(risk),
    ].join(' '),
    remedy:
      owner === 'USER' && holder === undefined && helps(risk, context)
        ? vacuumRemedy(relation, context.databaseName)
        : null,
  });
  return owner === 'USER' ? fault : { ...fault, key: owner };
}

const IDS: Readonly<Record<IdKind, string>> = { XID: 'transaction ids', MULTIXACT: 'multixact ids' };

/** As old as the table's oldest rows: these cannot be frozen. */
const holderOf = ({ kind, age }: TableRisk, { figures }: AnalysisContext) =>
  kind === 'XID'
    ? figures.holders.find(({ holds, transactions }) => holds === 'ROWS' && transactions >= 0.9 * age)
    : undefined;

function whoIsThere({ relation }: TableRisk, { figures }: AnalysisContext): string[] {
  const running = figures.vacuum.running.get(relation.oid);
  const lock = figures.vacuum.lockHolders.get(relation.oid);
  const locker = lock?.pid == null ? 'A prepared transaction' : `The session with pid ${lock.pid}`;
  return [
    ...(running ? [`VACUUM is at work on it (pid ${running.pid}).`] : []),
    ...(lock ? [`${locker} holds a lock on it (${lock.mode}) that VACUUM waits for.`] : []),
  ];
}

function timeLeft(risk: Risk, around: Around): string {
  const { rate, daysLeft } = outlook(risk, around);
  if (rate === null) return 'How long that lasts is unknown: nothing tells yet how fast ids are used up.';
  const measured =
    rate.from === 'HISTORY'
      ? 'as earlier analyses have seen'
      : 'since the last checkpoint, which may be an unusual moment';
  return `At ${Math.round(rate.perDay)} a day, ${measured}, ${daysLeft ?? 0} days are left before the server takes no more writes.`;
}

function advice({ relation, age, limits }: TableRisk): string {
  const name = toText(ident(relation.schema, relation.table));
  if (relation.isTemporary)
    return `It is a temporary table: only its own session can vacuum it, and no other may. Let that session drop it or end.`;
  if (age >= limits.failsafeAge) return `At once: VACUUM (FREEZE, INDEX_CLEANUP off, TRUNCATE off) ${name};`;
  return `VACUUM (FREEZE) ${name};`;
}

/** The plan's VACUUM freezes old rows only when the table is old by the server's measure. */
function helps({ kind, age, limits }: TableRisk, { figures }: AnalysisContext): boolean {
  const number = (name: string) => serverNumber(figures.vacuum.server, name);
  const forced = number(`autovacuum_${PREFIX[kind]}freeze_max_age`);
  const left = Math.min(number(`vacuum_${PREFIX[kind]}freeze_min_age`), forced / 2);
  return (
    age >= Math.min(number(`vacuum_${PREFIX[kind]}freeze_table_age`), 0.95 * forced) &&
    left < limits.freezeMaxAge
  );
}

const vacuumRemedy = ({ schema, table }: AgedRelation, database: string) =>
  planRemedy('Reorganization', 'Plan a VACUUM: it freezes what is old enough.', {
    database,
    schema,
    table,
    method: 'VACUUM',
  });

function databaseFault(risk: Risk & { readonly database: AgedDatabase }, around: Around): FoundFault {
  const { database, kind, age, limits } = risk;
  const fault = faultOf(risk, around, {
    schema: null,
    table: null,
    title: `The database ${database.name} holds ${IDS[kind]} that are ${age} old, of ${LIMIT} that are possible`,
    detail: [
      `It is the oldest of the server (VACUUM is forced from ${limits.freezeMaxAge} on), and sets the limit for all: this database would stop taking writes with it.`,
      timeLeft(risk, around),
      database.takesConnections
        ? `Look there for the table: register it, or connect to it and VACUUM.`
        : 'It takes no connections, so that only autovacuum can reach it: look in the server log for what stops it there.',
    ].join(' '),
    remedy: null,
  });
  return { ...fault, key: `database ${database.name}` };
}
