import { randomInt } from 'node:crypto';
import { setTimeout as rest } from 'node:timers/promises';
import type pg from 'pg';
import type { FaultProduct } from './fault-product.ts';

/**
 * What is done to the tables of a round. FILES, TABLE: archived there. PURGE. INCLUDE: purged with what references the rows.
 * CLOSURE: archived to files with what references the rows. DUPLICATES: merged.
 */
export const KINDS = ['FILES', 'TABLE', 'PURGE', 'INCLUDE', 'CLOSURE', 'DUPLICATES'] as const;
export type Kind = (typeof KINDS)[number];

export const FILTER = { column: 'status', op: 'EQ', value: 'expired' } as const;

/** A table of a round: a third of its rows is to go, or a tenth has the key of others. What it held, and all that the application does, is kept beside it. */
export interface SoakTable {
  readonly kind: Kind;
  readonly name: string;
  readonly rows: number;
}

export const tableOf = (kind: Kind, round: number, rows: number): SoakTable => ({
  kind,
  name: `${kind.toLowerCase()}_${round}`,
  rows,
});

/** Rows of other tables go along. */
export const takesAlong = ({ kind }: Pick<SoakTable, 'kind'>): boolean =>
  kind === 'INCLUDE' || kind === 'CLOSURE';

export const isRestorable = ({ kind }: SoakTable): boolean => kind !== 'PURGE' && kind !== 'INCLUDE';

export async function makeTable(client: pg.Client, table: SoakTable): Promise<void> {
  const { kind, name, rows } = table;
  const different = kind === 'DUPLICATES' ? Math.floor(rows * 0.9) : rows;
  await client.query(`
    CREATE SCHEMA IF NOT EXISTS app;
    CREATE TABLE ${name} (id bigint PRIMARY KEY, tenant int NOT NULL, status text NOT NULL, at timestamptz NOT NULL, payload jsonb);
    INSERT INTO ${name} SELECT n, n % 500, CASE WHEN n % 3 = 0 THEN 'expired' ELSE 'active' END, '2024-01-01'::timestamptz + (n % ${different}) * interval '1 minute 0.000001 second',
           jsonb_build_object('n', n, 'request', md5(n::text)) FROM generate_series(1, ${rows}) AS n;
    CREATE TABLE app.${name}_original AS TABLE ${name};
    CREATE TABLE app.${name}_rescued (LIKE ${name}); CREATE TABLE app.${name}_inserted (LIKE ${name}); CREATE TABLE app.${name}_deleted (LIKE ${name})`);
  if (kind === 'DUPLICATES' || takesAlong(table)) await makeChildren(client, table);
  if (takesAlong(table)) await makeRelatives(client, table);
  await client.query(`VACUUM ANALYZE`);
}

async function makeChildren(client: pg.Client, { name, rows }: SoakTable): Promise<void> {
  await client.query(`
    CREATE TABLE ${name}_child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint NOT NULL REFERENCES ${name} ON DELETE CASCADE, note text);
    INSERT INTO ${name}_child (parent, note) SELECT n, md5(n::text) FROM generate_series(1, ${rows}) AS n WHERE n % 2 = 0;
    CREATE INDEX ON ${name}_child (parent);
    CREATE TABLE app.${name}_child_all AS TABLE ${name}_child`);
}

/** Children of the children, and rows that stay and lose what they pointed to. */
async function makeRelatives(client: pg.Client, { name, rows }: SoakTable): Promise<void> {
  await client.query(`
    CREATE TABLE ${name}_note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, child bigint NOT NULL REFERENCES ${name}_child ON DELETE CASCADE, note text);
    INSERT INTO ${name}_note (child, note) SELECT id, 'note ' || id FROM ${name}_child WHERE id % 3 = 0;
    CREATE TABLE ${name}_link (id bigint PRIMARY KEY, parent bigint REFERENCES ${name} ON DELETE SET NULL);
    INSERT INTO ${name}_link SELECT n, n FROM generate_series(1, ${rows}) AS n WHERE n % 5 = 0;
    CREATE INDEX ON ${name}_note (child); CREATE INDEX ON ${name}_link (parent);
    CREATE TABLE app.${name}_note_all AS TABLE ${name}_note; CREATE TABLE app.${name}_link_all AS TABLE ${name}_link`);
}

/** What the application does to a row or two of a table; each statement keeps a record of what it did in the same transaction. */
function doings(table: SoakTable): string[] {
  const { kind, name, rows } = table;
  const id = 1 + randomInt(rows);
  const fresh = 1_000_000_000 + randomInt(1_000_000_000);
  const child = `WITH n AS (INSERT INTO ${name}_child (parent, note) SELECT id, 'new' FROM ${name} WHERE id > ${id} ORDER BY id LIMIT 1 RETURNING *) INSERT INTO app.${name}_child_all SELECT * FROM n`;
  const note = `WITH n AS (INSERT INTO ${name}_note (child, note) SELECT id, 'new' FROM ${name}_child WHERE id > ${id >> 1} ORDER BY id LIMIT 1 RETURNING *) INSERT INTO app.${name}_note_all SELECT * FROM n`;
  const insert = (row: string) =>
    `WITH n AS (INSERT INTO ${name} ${row} ON CONFLICT DO NOTHING RETURNING *) INSERT INTO app.${name}_inserted SELECT * FROM n`;
  const insertNew = insert(`VALUES (${fresh}, 1, 'active', clock_timestamp(), '{"new": true}')`);
  if (kind === 'DUPLICATES') {
    const again = `SELECT ${fresh}, tenant, status, at, payload FROM ${name} WHERE id > ${id} ORDER BY id LIMIT 1`;
    return [insertNew, insert(again), child];
  }
  return [
    `WITH r AS (UPDATE ${name} SET status = 'rescued' WHERE id = (SELECT id FROM ${name} WHERE status = 'expired' AND id > ${id} ORDER BY id LIMIT 1)
       AND status = 'expired' RETURNING *) INSERT INTO app.${name}_rescued SELECT * FROM r`,
    insertNew,
    `WITH d AS (DELETE FROM ${name} WHERE id = ${id} AND status = 'active' RETURNING *) INSERT INTO app.${name}_deleted SELECT * FROM d`,
    ...(takesAlong(table) ? [child, note] : []),
  ];
}

/** Goes on whatever happens, until it is told to stop. Answers with how much it has done. */
export async function useTables(
  product: Pick<FaultProduct, 'connect'>,
  tables: readonly SoakTable[],
  stopped: AbortSignal,
): Promise<number> {
  let done = 0;
  while (!stopped.aborted) {
    try {
      const client = await product.connect();
      try {
        while (!stopped.aborted) {
          const choices = doings(tables[randomInt(tables.length)] as SoakTable);
          await client.query(choices[randomInt(choices.length)] as string);
          done += 1;
          await rest(5);
        }
      } finally {
        await client.end();
      }
    } catch {
      await rest(50); // the database is away, a column has another name just now, or the parent has gone
    }
  }
  return done;
}
