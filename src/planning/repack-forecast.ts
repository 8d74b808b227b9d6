import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { findRepackClient, repackArguments } from '../target/repack-client.ts';
import { readRepackState } from '../target/repack-leftovers.ts';
import { serverRepackSql } from '../target/reorganization-sql.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import type { MethodForecast } from './method-forecast.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { rewriteImpact } from './rewrite-forecast.ts';
import type { TableLook } from './table-look.ts';

/** REPACK (CONCURRENTLY) is a statement of the server from here on. */
const SERVER_REPACKS = 190_000;
/** The copy, its indexes and what changes meanwhile. */
const EFFORT = 1.5;
/** How long pg_repack waits for its lock at a time, and how often it takes it: to begin, to take the place, to tidy up. */
const LOCK_MS = 1_000;

/** A copy beside the table, kept up to date, that takes its place under a short lock. */
export async function repackForecast(context: PlanContext, look: TableLook): Promise<MethodForecast> {
  const { relation } = look;
  const name = nameOf(relation);
  const tool = await toolFor(context);
  const byServer = tool.by.tool === 'SERVER';
  const hazards = await context.session.transaction(() => repackHazards(context.session, relation, byServer));
  const state = byServer
    ? { leftovers: [], workers: [] }
    : await context.session.transaction(() => readRepackState(context.session, relation.oid));
  return {
    operation: { kind: 'REORGANIZATION', method: 'REPACK', by: tool.by },
    wins: true,
    why: `It writes ${name} anew beside the old one while everybody works, and takes its place under a short lock.`,
    impact: rewriteImpact(look, EFFORT),
    effects: [],
    locks: [{ relation: name, mode: 'ACCESS EXCLUSIVE', longestMs: LOCK_MS }],
    blockers: [...tool.blockers, ...hazards, ...busy(name, state.workers)],
    warnings: [...waitsFor(look), ...leftBehind(name, state.leftovers)],
    steps: [
      {
        description: `Write ${name} anew beside the old one${byServer ? '' : ' by the program pg_repack, which ends nobody’s session'}, and take its place`,
        sql: byServer ? serverRepackSql(relation) : commandLine(relation),
      },
    ],
  };
}

const commandLine = ({ schema, name }: Relation) =>
  ['pg_repack', ...repackArguments({ table: toText(ident(schema, name)), waitSeconds: 6 })].join(' ');

interface Tool {
  readonly by: Extract<MethodForecast['operation'], { method: 'REPACK' }>['by'];
  readonly blockers: readonly PlanNotice[];
}

/** Whole functions of the extension before this version are for superusers only, whatever the client is told. */
const FOR_OWNERS = [1, 5, 2] as const;

async function toolFor({ session, capabilities }: PlanContext): Promise<Tool> {
  if (capabilities.versionNumber >= SERVER_REPACKS) return { by: { tool: 'SERVER' }, blockers: [] };
  const version = await extensionVersion(session);
  const by = { tool: 'PG_REPACK', version: version ?? '' } as const;
  if (version === null) {
    const hint = 'CREATE EXTENSION pg_repack; as a superuser, once its package is installed on the server.';
    const message = 'The extension pg_repack is not there in this database.';
    return { by, blockers: [notice('REPACK_UNAVAILABLE', message, hint)] };
  }
  const missing = (await findRepackClient(version)) === null;
  return { by, blockers: [...(missing ? [noClient(version)] : []), ...rights(capabilities.role, version)] };
}

const noClient = (version: string) =>
  notice(
    'REPACK_UNAVAILABLE',
    `The program pg_repack ${version}, which the extension in the database needs, is not on this machine.`,
    'Install the package with that version (Debian: postgresql-<major>-repack) wherever Declutter runs.',
  );

function rights({ name, superuser }: PlanContext['capabilities']['role'], version: string): PlanNotice[] {
  if (superuser || isAtLeast(version, FOR_OWNERS)) return [];
  const message = `pg_repack ${version} works for superusers only, and ${name} is none.`;
  return [notice('REPACK_UNAVAILABLE', message, 'From version 1.5.2 on the owner of the table is enough.')];
}

function isAtLeast(version: string, least: readonly number[]): boolean {
  const parts = version.split('.').map(Number);
  for (const [i, wanted] of least.entries()) {
    const part = parts[i] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

async function extensionVersion(session: Session): Promise<string | null> {
  const [row] = await session.transaction(() =>
    session.query<{ version: string }>(
      sql`SELECT extversion AS version FROM pg_catalog.pg_extension WHERE extname = 'pg_repack'`,
    ),
  );
  return row?.version ?? null;
}

interface Facts {
  readonly publications: readonly string[];
  readonly invalid: readonly string[];
  readonly hasKey: boolean;
}

/** What makes a repack of the table fail, or harm others: read again when the run is started. */
export async function repackHazards(
  session: Session,
  relation: Relation,
  byServer: boolean,
): Promise<PlanNotice[]> {
  const name = nameOf(relation);
  const { publications, invalid, hasKey } = await session.one<Facts>(factsSql(relation.oid));
  const hazards: PlanNotice[] = [];
  if (relation.kind !== 'TABLE') hazards.push(notice('NOT_A_TABLE', `${name} is no ordinary table.`));
  if (publications.length > 0 && !byServer)
    hazards.push(
      notice(
        'REPACK_PUBLISHED',
        `${name} or all tables are published (${publications.join(', ')}): the tables that pg_repack keeps beside it have no identity to replicate by, and writes would fail.`,
        'Take a method without helping tables (COMPACT), or the table out of the publication.',
      ),
    );
  if (invalid.length > 0)
    hazards.push(
      notice(
        'INVALID_INDEX',
        `Indexes of ${name} are not valid: ${invalid.join(', ')}. A repack leaves them out or fails on them.`,
        'Rebuild them (planReindex) or drop them first.',
      ),
    );
  if (!hasKey)
    hazards.push(
      notice(
        'REPACK_NO_KEY',
        `${name} has no primary key and no unique index on columns that are NOT NULL: changes made meanwhile cannot be carried over.`,
        'Give it a key; COMPACT needs none.',
      ),
    );
  if (relation.persistence !== 'PERMANENT')
    hazards.push(
      notice(
        'REPACK_UNLOGGED',
        `${name} is not a permanent, logged table: a repack would damage it.`,
        'COMPACT and VACUUM_FULL can do it.',
      ),
    );
  return hazards;
}

const factsSql = (oid: number) => sql`
  SELECT coalesce((SELECT pg_catalog.json_agg(p.pubname ORDER BY p.pubname) FROM pg_catalog.pg_publication p
                    WHERE p.puballtables OR EXISTS (
                      SELECT FROM pg_catalog.pg_publication_tables t JOIN pg_catalog.pg_class c ON c.relname = t.tablename
                        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = t.schemaname
                       WHERE t.pubname = p.pubname AND c.oid = ${integer(oid)})), '[]') AS publications,
         coalesce((SELECT pg_catalog.json_agg(c.relname ORDER BY c.relname)
                     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                    WHERE i.indrelid = ${integer(oid)} AND NOT (i.indisvalid AND i.indisready)), '[]') AS invalid,
         EXISTS (SELECT FROM pg_catalog.pg_index i
                  WHERE i.indrelid = ${integer(oid)} AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                    AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) AS k (n)
                                      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n AND k.n <> 0
                                     WHERE a.attnotnull IS NOT TRUE)) AS "hasKey"`;

const busy = (name: string, workers: readonly number[]): PlanNotice[] =>
  workers.length === 0
    ? []
    : [
        notice(
          'REPACK_BUSY',
          `Another pg_repack works on ${name} now (pid ${workers.join(', ')}).`,
          'Plan again when it has ended.',
        ),
      ];

const leftBehind = (name: string, leftovers: readonly string[]): PlanNotice[] =>
  leftovers.length === 0
    ? []
    : [
        notice(
          'REPACK_LEFTOVERS',
          `A pg_repack that was killed has left at ${name}: ${leftovers.join(', ')}. Each write is still copied there; the run removes them first.`,
        ),
      ];

const LONG_MS = 60_000;

const waitsFor = ({ holders, now }: TableLook): PlanNotice[] =>
  holders
    .filter(
      ({ code, since }) =>
        code === 'OLD_SNAPSHOT' && since !== null && now.getTime() - since.getTime() >= LONG_MS,
    )
    .slice(0, 3)
    .map(({ pid, name, since }) =>
      notice(
        'OLD_TRANSACTION',
        `Session ${pid ?? ''} (${name}) has had a transaction open since ${since?.toISOString() ?? ''}: the run waits for it a minute at most, then pauses.`,
        'Let it end first.',
      ),
    );
