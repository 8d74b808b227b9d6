import type { VacuumOptions } from '../domain/plan.ts';
import { ident, sql, toText } from './sql.ts';

interface Named {
  readonly schema: string;
  readonly name: string;
}

/** By the server's own defaults. */
export const PLAIN_VACUUM: VacuumOptions = {
  freeze: false,
  indexCleanup: 'AUTO',
  parallel: 0,
  costDelayMs: 0,
};

/** Indexes as the options say; the TOAST table goes along. */
export function vacuumSql({ schema, name }: Named, options: VacuumOptions): string {
  const { freeze, indexCleanup, parallel } = options;
  const words = [
    'ANALYZE',
    ...(freeze ? ['FREEZE'] : []),
    ...(indexCleanup === 'AUTO' ? [] : [`INDEX_CLEANUP ${indexCleanup}`]),
    ...(parallel === 0 ? [] : [`PARALLEL ${parallel}`]),
  ];
  return `VACUUM (${words.join(', ')}) ${toText(ident(schema, name))}`;
}

/** What the session is set to before. */
export const vacuumSettings = ({ costDelayMs }: VacuumOptions): readonly string[] =>
  costDelayMs === 0 ? [] : [`SET vacuum_cost_delay = '${costDelayMs}ms'`];

export const analyzeSql = ({ schema, name }: Named): string => toText(sql`ANALYZE ${ident(schema, name)}`);

export const vacuumFullSql = ({ schema, name }: Named): string =>
  toText(sql`VACUUM (FULL, ANALYZE) ${ident(schema, name)}`);

export const clusterSql = ({ schema, name }: Named, index: { readonly name: string }): string =>
  toText(sql`CLUSTER ${ident(schema, name)} USING ${ident(index.name)}`);

/** PostgreSQL 19: a copy beside the table, brought up to date by logical decoding, that takes its place under a short lock. */
export const serverRepackSql = ({ schema, name }: Named): string =>
  toText(sql`REPACK (CONCURRENTLY) ${ident(schema, name)}`);
