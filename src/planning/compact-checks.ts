import type { PlanNotice } from '../domain/plan.ts';
import type { Relation, Trigger } from '../target/catalog.ts';
import { publicationsOf } from '../target/publications.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { firing } from './trigger-effects.ts';

/** What decides whether, and how, rows of a table can be moved by updates that change nothing. */
export interface CompactFacts {
  readonly isHeap: boolean;
  /** is set to itself; null: none can be set */
  readonly column: string | null;
  /** stored generated columns that are computed anew with it */
  readonly recomputed: readonly string[];
  /** constraints that rows may break which are there already */
  readonly unvalidated: readonly string[];
  readonly publications: readonly string[];
  /** whoever gets the changes can tell which row it is */
  readonly identified: boolean;
  /** indexes that cannot be rebuilt concurrently */
  readonly exclusions: readonly number[];
  readonly triggers: readonly Trigger[];
}

/** Bits of tgtype: for each row 1, BEFORE 2, UPDATE 16. */
const BEFORE_UPDATE_ROW = 19;

export async function readCompactFacts(
  { session }: Pick<PlanContext, 'session'>,
  relation: Relation,
): Promise<CompactFacts> {
  const facts = await session.transaction(() =>
    session.one<Omit<CompactFacts, 'triggers'>>(factsSql(relation)),
  );
  return { ...facts, triggers: firing(relation, 'UPDATE', facts.column === null ? [] : [facts.column]) };
}

/**
 * A column that no trigger watches and from which nothing is computed comes first. Where there is a BEFORE UPDATE trigger, even one
 * that does not fire, PostgreSQL computes all generated columns: the trigger might have changed anything.
 */
const factsSql = ({ oid }: Relation) => {
  const table = sql`${integer(oid)}::pg_catalog.oid`;
  return sql`
    WITH computed AS (
      SELECT d.refobjsubid AS source, g.attname
        FROM pg_catalog.pg_attrdef x
        JOIN pg_catalog.pg_attribute g ON g.attrelid = x.adrelid AND g.attnum = x.adnum AND g.attgenerated = 's'
        JOIN pg_catalog.pg_depend d ON d.classid = 2604 AND d.objid = x.oid AND d.refclassid = 1259 AND d.refobjid = x.adrelid
       WHERE x.adrelid = ${table} AND d.refobjsubid <> g.attnum
    ), chosen AS (
      SELECT a.attname, a.attnum
        FROM pg_catalog.pg_attribute a
       WHERE a.attrelid = ${table} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
       ORDER BY a.attnum IN (SELECT source FROM computed),
                EXISTS (SELECT FROM pg_catalog.pg_trigger t
                         WHERE t.tgrelid = ${table} AND a.attnum = ANY (t.tgattr::pg_catalog.int2[]) AND t.tgenabled IN ('O', 'A')),
                NOT pg_catalog.has_column_privilege(${table}, a.attnum, 'UPDATE'), a.attlen < 0, a.attnum LIMIT 1)
    SELECT coalesce((SELECT m.amname = 'heap' FROM pg_catalog.pg_am m WHERE m.oid = c.relam), false) AS "isHeap",
           (SELECT attname FROM chosen)::pg_catalog.text AS column,
           ARRAY(SELECT u.attname::pg_catalog.text FROM computed u JOIN chosen h ON h.attnum = u.source
                  UNION
                 SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = ${table} AND a.attgenerated = 's' AND NOT a.attisdropped
                    AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ${table} AND t.tgtype & ${integer(BEFORE_UPDATE_ROW)} = ${integer(BEFORE_UPDATE_ROW)})
                  ORDER BY 1) AS recomputed,
           ARRAY(SELECT k.conname::pg_catalog.text FROM pg_catalog.pg_constraint k
                  WHERE k.conrelid = c.oid AND NOT k.convalidated ORDER BY 1) AS unvalidated,
           ${publicationsOf(oid, 'update')} AS publications,
           c.relreplident = 'f' OR EXISTS (
             SELECT FROM pg_catalog.pg_index i
              WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END) AS identified,
           ARRAY(SELECT i.indexrelid::pg_catalog.int8::pg_catalog.float8 FROM pg_catalog.pg_index i
                  WHERE i.indrelid = c.oid AND i.indisexclusion ORDER BY 1) AS exclusions
      FROM pg_catalog.pg_class c WHERE c.oid = ${table}`;
};

export function compactBlockers(
  relation: Relation,
  { triggers, unvalidated, publications, identified }: CompactFacts,
  acknowledged: boolean,
): PlanNotice[] {
  const name = nameOf(relation);
  const blockers: PlanNotice[] = [];
  if (triggers.length > 0 && !acknowledged) {
    blockers.push(
      notice(
        'TRIGGERS_FIRE',
        `Each move is an UPDATE that changes nothing, and triggers of ${name} would fire for it: ${triggers.map((trigger) => trigger.name).join(', ')}.`,
        'Where that does no harm, plan with acknowledgeTriggers: true; else take REPACK or VACUUM_FULL.',
      ),
    );
  }
  if (triggers.some(({ function: called }) => /\bsuppress_redundant_updates_trigger$/.test(called))) {
    blockers.push(
      notice(
        'UPDATES_SUPPRESSED',
        `A trigger of ${name} skips updates that change nothing, and with them the moves.`,
        'Take REPACK or VACUUM_FULL.',
      ),
    );
  }
  if (unvalidated.length > 0) {
    blockers.push(
      notice(
        'UNVALIDATED',
        `Constraints of ${name} are not validated: ${unvalidated.join(', ')}. Rows that break them could not be moved.`,
        `ALTER TABLE ${toText(ident(relation.schema, relation.name))} VALIDATE CONSTRAINT ...; for each of them.`,
      ),
    );
  }
  if (publications.length > 0 && !identified) {
    blockers.push(
      notice(
        'PUBLICATION_IDENTITY',
        `${name} is published (${publications.join(', ')}) but has no replica identity: updates would fail.`,
        `Give it a primary key, or: ALTER TABLE ${toText(ident(relation.schema, relation.name))} REPLICA IDENTITY FULL;`,
      ),
    );
  }
  return blockers;
}

export function compactWarnings(
  relation: Relation,
  { publications, identified, recomputed, exclusions }: CompactFacts,
  { hasDroppedColumns }: { readonly hasDroppedColumns: boolean },
): PlanNotice[] {
  const name = nameOf(relation);
  const kept = relation.indexes.filter(({ oid }) => exclusions.includes(oid)).map((index) => index.name);
  const warnings: PlanNotice[] = [movedUnderSnapshots(name)];
  if (publications.length > 0 && identified) {
    warnings.push(
      notice(
        'PUBLICATION',
        `Each move goes to the subscribers of ${publications.join(', ')} as an update of the whole row: one that has changed its copy gets the values of ${name} back.`,
      ),
    );
  }
  if (recomputed.length > 0) {
    warnings.push(
      notice(
        'GENERATED_COLUMNS',
        `Generated columns of ${name} are computed anew for each row that moves: ${recomputed.join(', ')}.`,
        'Where a function of theirs has changed since, values change with it.',
      ),
    );
  }
  if (kept.length > 0) {
    warnings.push(
      notice(
        'INDEX_SKIPPED',
        `Indexes of exclusion constraints cannot be rebuilt without a lock and stay as they are: ${kept.join(', ')}.`,
      ),
    );
  }
  if (hasDroppedColumns) {
    warnings.push(
      notice(
        'DROPPED_COLUMNS',
        `Columns of ${name} were dropped: rows that do not move keep their bytes, and the table shrinks by less.`,
        'REPACK or VACUUM_FULL write all rows anew.',
      ),
    );
  }
  return warnings;
}

const movedUnderSnapshots = (name: string): PlanNotice =>
  notice(
    'ROWS_MOVE',
    `A transaction in REPEATABLE READ or SERIALIZABLE that began before a row of ${name} moved cannot change it: it gets a serialization failure (40001). A ctid that an application has kept no longer finds a row that has moved.`,
    'Where transactions are not repeated, or ctids are kept, take REPACK or VACUUM_FULL at a quiet time.',
  );
