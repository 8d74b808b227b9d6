import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from './catalog.ts';
import { publicationsOf } from './publications.ts';
import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';

interface Facts {
  readonly publications: readonly string[];
  readonly sendsAll: readonly string[];
  readonly invalid: readonly string[];
  readonly hasKey: boolean;
}

/** What makes a repack of the table fail, or harm others: read again whenever one is begun. */
export async function repackHazards(
  session: Session,
  relation: Relation,
  byServer: boolean,
): Promise<PlanNotice[]> {
  const name = `${relation.schema}.${relation.name}`;
  const { publications, sendsAll, invalid, hasKey } = await session.one<Facts>(factsSql(relation.oid));
  const published = [...new Set([...publications, ...sendsAll])].sort();
  const hazards: PlanNotice[] = [];
  if (relation.kind !== 'TABLE')
    hazards.push({ code: 'NOT_A_TABLE', message: `${name} is no ordinary table.`, hint: null });
  if (published.length > 0 && !byServer)
    hazards.push({
      code: 'REPACK_PUBLISHED',
      message: `${name} or all tables are published (${published.join(', ')}): the tables that pg_repack keeps beside it have no identity to replicate by, and writes would fail.`,
      hint: 'Take a method without helping tables (COMPACT), or the table out of the publication.',
    });
  if (invalid.length > 0)
    hazards.push({
      code: 'INVALID_INDEX',
      message: `Indexes of ${name} are not valid: ${invalid.join(', ')}. A repack leaves them out or fails on them.`,
      hint: 'Rebuild them (planReindex) or drop them first.',
    });
  if (!hasKey)
    hazards.push({
      code: 'REPACK_NO_KEY',
      message: `${name} has no primary key and no unique index on columns that are NOT NULL: changes made meanwhile cannot be carried over.`,
      hint: 'Give it a key; COMPACT needs none.',
    });
  if (relation.persistence !== 'PERMANENT')
    hazards.push({
      code: 'REPACK_UNLOGGED',
      message: `${name} is not a permanent, logged table: a repack would damage it.`,
      hint: 'COMPACT and VACUUM_FULL can do it.',
    });
  return hazards;
}

const factsSql = (oid: number) => sql`
  SELECT ${publicationsOf(oid, null)} AS publications,
         coalesce((SELECT pg_catalog.json_agg(p.pubname) FROM pg_catalog.pg_publication p WHERE p.puballtables), '[]') AS "sendsAll",
         coalesce((SELECT pg_catalog.json_agg(c.relname ORDER BY c.relname)
                     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                    WHERE i.indrelid = ${integer(oid)} AND NOT (i.indisvalid AND i.indisready)), '[]') AS invalid,
         EXISTS (SELECT FROM pg_catalog.pg_index i
                  WHERE i.indrelid = ${integer(oid)} AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                    AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) AS k (n)
                                      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n AND k.n <> 0
                                     WHERE a.attnotnull IS NOT TRUE)) AS "hasKey"`;
