import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { publicationsOf } from '../target/publications.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import { missingRights, type Need, type Right, tableNeeds } from './check-rights.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

const OUR_SCHEMA = 'declutter';

/** What no plan may touch, and what a plan of rows cannot be made for. Empty: go on and look closer. */
export function refuseRelation(relation: Relation, { mayBePartitioned = false } = {}): PlanNotice[] {
  const name = nameOf(relation);
  const { schema } = relation;
  if (schema.startsWith('pg_') || schema === 'information_schema') {
    return [notice('UNSAFE_TABLE', `${name} belongs to PostgreSQL itself.`)];
  }
  if (schema === OUR_SCHEMA) return [notice('UNSAFE_TABLE', `${name} belongs to Declutter's ledger.`)];
  if (relation.kind === 'PARTITIONED' && relation.persistence !== 'TEMPORARY') {
    if (mayBePartitioned) return [];
    return [
      notice(
        'NOT_A_TABLE',
        `${name} is partitioned and holds no rows itself.`,
        'Plan each of its partitions by name.',
      ),
    ];
  }
  if (relation.kind !== 'TABLE' || relation.persistence === 'TEMPORARY') {
    const kind =
      relation.kind === 'TABLE' ? 'temporary table' : relation.kind.toLowerCase().replace('_', ' ');
    return [notice('NOT_A_TABLE', `${name} is a ${kind}; rows are removed from ordinary tables only.`)];
  }
  return [];
}

/** What stands in the way of a run on the table; more: rights that it needs elsewhere. */
export async function checkSubject(
  context: PlanContext,
  relation: Relation,
  rights: readonly Right[],
  more: readonly Need[] = [],
): Promise<PlanNotice[]> {
  const needs = [...(await tableNeeds(context, relation, rights)), ...more];
  return [
    ...checkServer(context),
    ...(await missingRights(context, needs)),
    ...(await checkRows(context, relation)),
  ];
}

/** Whether the table itself lets its rows be counted and changed, whoever asks. */
export async function checkRows({ session }: PlanContext, relation: Relation): Promise<PlanNotice[]> {
  const blockers: PlanNotice[] = [];
  if (relation.rules.length > 0) {
    blockers.push(
      notice(
        'RULES',
        `${nameOf(relation)} has rules (${relation.rules.join(', ')}), which can turn a statement into another.`,
        'Drop the rules, or replace them by triggers.',
      ),
    );
  }
  if (await session.transaction(() => filtersRows(session, relation.oid))) {
    blockers.push(
      notice(
        'ROW_SECURITY',
        `Row security hides rows of ${nameOf(relation)} from our role, so that no count of it is true.`,
        'Use a role that owns the table.',
      ),
    );
  }
  return blockers;
}

/** What stands in the way of any run on this server. */
export function checkServer({ capabilities, database }: PlanContext): PlanNotice[] {
  const { role, ledger, isStandby, isPooled } = capabilities;
  const quoted = toText(ident(role.name));
  const grant = `GRANT CREATE ON DATABASE ${toText(ident(database.database))} TO ${quoted};`;
  return [
    ...(isStandby
      ? [notice('STANDBY', 'This server is a standby and accepts no changes.', 'Register its primary.')]
      : []),
    ...(isPooled
      ? [
          notice(
            'POOLER',
            'A connection pooler stands between us and the server: settings and locks of a session would leak to others.',
            'updateDatabase with the host and port of the server itself.',
          ),
        ]
      : []),
    ...(ledger === 'FOREIGN'
      ? [
          notice(
            'LEDGER_RIGHTS',
            'The schema declutter belongs to another role.',
            `ALTER SCHEMA declutter OWNER TO ${quoted};`,
          ),
        ]
      : []),
    ...(ledger === 'ABSENT' && !role.mayCreateSchema
      ? [
          notice(
            'LEDGER_RIGHTS',
            'A run keeps its ledger in a schema of its own, which our role may not make.',
            grant,
          ),
        ]
      : []),
  ];
}

async function filtersRows(session: Session, oid: number): Promise<boolean> {
  const { active } = await session.one<{ active: boolean }>(
    sql`SELECT pg_catalog.row_security_active(${integer(oid)}::pg_catalog.oid) AS active`,
  );
  return active;
}

interface Publishing {
  readonly publications: readonly string[];
  readonly identified: boolean;
}

/** Deletes that are replicated need a way to name the row; without one PostgreSQL refuses them. */
export async function checkPublications(
  { session }: PlanContext,
  relation: Relation,
): Promise<{ blockers: PlanNotice[]; warnings: PlanNotice[] }> {
  const { publications, identified } = await session.one<Publishing>(sql`
    SELECT ${publicationsOf(relation.oid, 'delete')} AS publications,
           c.relreplident = 'f' OR EXISTS (
             SELECT 1 FROM pg_catalog.pg_index i
              WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END) AS identified
      FROM pg_catalog.pg_class c WHERE c.oid = ${integer(relation.oid)}`);
  if (publications.length === 0) return { blockers: [], warnings: [] };
  const list = publications.join(', ');
  const name = nameOf(relation);
  if (!identified) {
    const hint = `Give it a primary key, or: ALTER TABLE ${toText(ident(relation.schema, relation.name))} REPLICA IDENTITY FULL;`;
    return {
      blockers: [
        notice(
          'PUBLICATION_IDENTITY',
          `${name} is published (${list}) but has no replica identity: deletes would fail.`,
          hint,
        ),
      ],
      warnings: [],
    };
  }
  const warning = notice(
    'PUBLICATION',
    `Deletes in ${name} are replicated to the subscribers of ${list}.`,
    'If they keep history, take the deletes out of the publication first.',
  );
  return { blockers: [], warnings: [warning] };
}
