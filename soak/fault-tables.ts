import { randomInt } from 'node:crypto';
import { setTimeout as rest } from 'node:timers/promises';
import type pg from 'pg';
import type { FaultProduct } from './fault-product.ts';
import { loadFiles, multisetOf } from './ledger-of-rows.ts';

export const KINDS = ['FILES', 'TABLE', 'PURGE', 'INCLUDE'] as const;
export type Kind = (typeof KINDS)[number];

export const FILTER = { column: 'status', op: 'EQ', value: 'expired' } as const;

/** A table of a round: a third of its rows is to go. What it held, and all that the application does, is kept beside it. */
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

export async function makeTable(client: pg.Client, { kind, name, rows }: SoakTable): Promise<void> {
  await client.query(`
    CREATE SCHEMA IF NOT EXISTS app;
    CREATE TABLE ${name} (id bigint PRIMARY KEY, tenant int NOT NULL, status text NOT NULL, at timestamptz NOT NULL, payload jsonb);
    INSERT INTO ${name} SELECT n, n % 500, CASE WHEN n % 3 = 0 THEN 'expired' ELSE 'active' END, '2024-01-01'::timestamptz + n * interval '1 minute 0.000001 second',
           jsonb_build_object('n', n, 'request', md5(n::text)) FROM generate_series(1, ${rows}) AS n;
    CREATE TABLE app.${name}_original AS TABLE ${name};
    CREATE TABLE app.${name}_rescued (LIKE ${name}); CREATE TABLE app.${name}_inserted (LIKE ${name}); CREATE TABLE app.${name}_deleted (LIKE ${name})`);
  if (kind === 'INCLUDE') {
    await client.query(`
      CREATE TABLE ${name}_child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint NOT NULL REFERENCES ${name} ON DELETE CASCADE, note text);
      INSERT INTO ${name}_child (parent, note) SELECT n, md5(n::text) FROM generate_series(1, ${rows}) AS n WHERE n % 2 = 0;
      CREATE INDEX ON ${name}_child (parent);
      CREATE TABLE app.${name}_child_all AS TABLE ${name}_child`);
  }
  await client.query(`VACUUM ANALYZE ${name}`);
}

/** What the application does to a row or two of a table; each statement keeps a record of what it did in the same transaction. */
function doings({ kind, name, rows }: SoakTable): string[] {
  const id = 1 + randomInt(rows);
  const fresh = 1_000_000 + randomInt(1_000_000_000);
  return [
    `WITH r AS (UPDATE ${name} SET status = 'rescued' WHERE id = (SELECT id FROM ${name} WHERE status = 'expired' AND id > ${id} ORDER BY id LIMIT 1)
       AND status = 'expired' RETURNING *) INSERT INTO app.${name}_rescued SELECT * FROM r`,
    `WITH n AS (INSERT INTO ${name} VALUES (${fresh}, 1, 'active', now(), '{"new": true}') ON CONFLICT DO NOTHING RETURNING *) INSERT INTO app.${name}_inserted SELECT * FROM n`,
    `WITH d AS (DELETE FROM ${name} WHERE id = ${id} AND status = 'active' RETURNING *) INSERT INTO app.${name}_deleted SELECT * FROM d`,
    ...(kind === 'INCLUDE'
      ? [
          `WITH n AS (INSERT INTO ${name}_child (parent, note) SELECT id, 'new' FROM ${name} WHERE id > ${id} ORDER BY id LIMIT 1 RETURNING *) INSERT INTO app.${name}_child_all SELECT * FROM n`,
        ]
      : []),
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
      await rest(50); // the database is away, or a column has another name just now
    }
  }
  return done;
}

export interface Difference {
  readonly what: string;
  readonly seen: unknown;
  readonly wanted: unknown;
}

/** What there must be, as queries, by what the application knows of its own doings. */
function wantedOf({ kind, name }: SoakTable, isRestored: boolean) {
  const app = `app.${name}`;
  const notDeleted = `NOT EXISTS (SELECT FROM ${app}_deleted AS d WHERE d.id = t.id)`;
  const gone = `SELECT * FROM ${app}_original AS t WHERE status = 'expired' AND NOT EXISTS (SELECT FROM ${app}_rescued AS r WHERE r.id = t.id)`;
  const live = `SELECT * FROM ${app}_original AS t WHERE status = 'active' AND ${notDeleted}
    UNION ALL SELECT * FROM ${app}_rescued UNION ALL SELECT * FROM ${app}_inserted AS t WHERE ${notDeleted}`;
  return {
    live: isRestored ? `${live} UNION ALL ${gone}` : live,
    archived: kind === 'FILES' || kind === 'TABLE' ? gone : null,
    children:
      kind === 'INCLUDE'
        ? `SELECT * FROM ${app}_child_all AS c WHERE EXISTS (SELECT FROM ${name} AS p WHERE p.id = c.parent)`
        : null,
  };
}

/** Compares what there is with what must be, row by row in their text. */
export async function compareTable(
  client: pg.Client,
  table: SoakTable,
  archive: { readonly root: string; readonly runId: string },
  isRestored: boolean,
): Promise<Difference[]> {
  const { kind, name } = table;
  const found: Difference[] = [];
  const wanted = wantedOf(table, isRestored);
  const same = async (what: string, seen: string, expected: string) =>
    found.push({
      what: `${name}: ${what}`,
      seen: await multisetOf(client, seen),
      wanted: await multisetOf(client, expected),
    });
  await same(
    isRestored ? 'rows once the archive was put back' : 'live rows',
    `SELECT * FROM ${name}`,
    wanted.live,
  );
  if (wanted.children !== null) await same('live children', `SELECT * FROM ${name}_child`, wanted.children);
  if (wanted.archived === null || isRestored) return found;
  const kept = `${name}_kept`;
  if (kind === 'FILES') found.push(...(await loadedInto(client, kept, table, archive)));
  await same('archived rows', `SELECT * FROM ${kept}`, wanted.archived);
  const twice = `SELECT id FROM (SELECT id FROM ${name} UNION ALL SELECT id FROM ${kept}) AS t GROUP BY id HAVING count(*) > 1`;
  const { rowCount } = await client.query(`${twice} LIMIT 10`);
  found.push({ what: `${name}: rows that are there twice`, seen: rowCount, wanted: 0 });
  return found;
}

async function loadedInto(
  client: pg.Client,
  kept: string,
  { name }: SoakTable,
  { root, runId }: { readonly root: string; readonly runId: string },
): Promise<Difference[]> {
  await client.query(`CREATE TABLE ${kept} (LIKE ${name})`);
  const files = await loadFiles(client, root, runId, kept);
  return [
    {
      what: `${name}: wrong checksums in ${files.segments} segments`,
      seen: files.wrong.join(' '),
      wanted: '',
    },
    { what: `${name}: files that nothing lists`, seen: files.stray.join(' '), wanted: '' },
  ];
}
