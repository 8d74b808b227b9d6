import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { findRepackClient, keepsPassword, repackArguments } from '../target/repack-client.ts';
import { repackHazards } from '../target/repack-hazards.ts';
import { readRepackState } from '../target/repack-leftovers.ts';
import { serverRepackSql } from '../target/reorganization-sql.ts';
import type { Session, TargetAddress } from '../target/session.ts';
import { ident, sql, toText } from '../target/sql.ts';
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
  const impact = rewriteImpact(look, EFFORT);
  const needed = impact.diskNeededBytes;
  return {
    operation: {
      kind: 'REORGANIZATION',
      method: 'REPACK',
      by: tool.by,
      ...(needed === null ? {} : { diskNeededBytes: needed }),
    },
    wins: true,
    why: `It writes ${name} anew beside the old one while everybody works, and takes its place under a short lock.`,
    impact,
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
  const client = await clientBlockers(version, session.address);
  return { by, blockers: [...client, ...rights(capabilities.role, version)] };
}

async function clientBlockers(version: string, address: TargetAddress): Promise<PlanNotice[]> {
  const program = await findRepackClient(version);
  if (program === null) return [noClient(version)];
  return (await keepsPassword(program, address)) ? [] : [tellsPassword(version)];
}

const tellsPassword = (version: string) =>
  notice(
    'REPACK_UNAVAILABLE',
    `The program pg_repack ${version} on this machine uses a libpq before 16, which tells its password to whoever answers at the address.`,
    'Install libpq 16 or later wherever Declutter runs, or updateDatabase with tls VERIFY_FULL.',
  );

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
