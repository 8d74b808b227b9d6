import type pg from 'pg';
import { type SoakTable, takesAlong } from './fault-tables.ts';
import { loadFiles, multisetOf, type Part } from './ledger-of-rows.ts';

export interface Difference {
  readonly what: string;
  readonly seen: unknown;
  readonly wanted: unknown;
}

/** Two queries that must give the same rows. */
interface Pair {
  readonly what: string;
  readonly seen: string;
  readonly wanted: string;
}

/** What there must be, by what the application knows of its own doings. */
function pairsOf(table: SoakTable, isRestored: boolean): Pair[] {
  if (table.kind === 'DUPLICATES') return mergedPairs(table, isRestored);
  const { kind, name } = table;
  const app = `app.${name}`;
  const notDeleted = `NOT EXISTS (SELECT FROM ${app}_deleted AS d WHERE d.id = t.id)`;
  const gone = goneFrom(name);
  const live = `SELECT * FROM ${app}_original AS t WHERE status = 'active' AND ${notDeleted}
    UNION ALL SELECT * FROM ${app}_rescued UNION ALL SELECT * FROM ${app}_inserted AS t WHERE ${notDeleted}`;
  const pairs: Pair[] = [
    {
      what: isRestored ? 'rows once the archive was put back' : 'live rows',
      seen: `SELECT * FROM ${name}`,
      wanted: isRestored ? `${live} UNION ALL SELECT * ${gone}` : live,
    },
  ];
  if (takesAlong(table)) pairs.push(...relativePairs(name));
  if (isRestored || kind === 'PURGE' || kind === 'INCLUDE') return pairs;
  pairs.push({ what: 'archived rows', seen: `SELECT * FROM ${name}_kept`, wanted: `SELECT * ${gone}` });
  if (kind === 'CLOSURE') pairs.push(...archivedRelatives(name));
  return pairs;
}

const goneFrom = (name: string): string =>
  `FROM app.${name}_original AS t WHERE status = 'expired' AND NOT EXISTS (SELECT FROM app.${name}_rescued AS r WHERE r.id = t.id)`;

/** Whoever has a parent is there, and nobody else; a link to a row that is not there leads nowhere. */
function relativePairs(name: string): Pair[] {
  const isLive = (parent: string) => `EXISTS (SELECT FROM ${name} AS p WHERE p.id = ${parent})`;
  const childOf = `app.${name}_note_all AS n JOIN app.${name}_child_all AS c ON c.id = n.child`;
  return [
    {
      what: 'live children',
      seen: `SELECT * FROM ${name}_child`,
      wanted: `SELECT * FROM app.${name}_child_all AS c WHERE ${isLive('c.parent')}`,
    },
    {
      what: 'their notes',
      seen: `SELECT * FROM ${name}_note`,
      wanted: `SELECT n.* FROM ${childOf} WHERE ${isLive('c.parent')}`,
    },
    {
      what: 'links',
      seen: `SELECT * FROM ${name}_link`,
      wanted: `SELECT id, CASE WHEN ${isLive('l.parent')} THEN parent END AS parent FROM app.${name}_link_all AS l`,
    },
  ];
}

function archivedRelatives(name: string): Pair[] {
  const isGone = (parent: string) => `${parent} IN (SELECT id ${goneFrom(name)})`;
  return [
    {
      what: 'archived children',
      seen: `SELECT * FROM ${name}_child_kept`,
      wanted: `SELECT * FROM app.${name}_child_all AS c WHERE ${isGone('c.parent')}`,
    },
    {
      what: 'archived notes',
      seen: `SELECT * FROM ${name}_note_kept`,
      wanted: `SELECT n.* FROM app.${name}_note_all AS n JOIN app.${name}_child_all AS c ON c.id = n.child WHERE ${isGone('c.parent')}`,
    },
    {
      what: 'archived links',
      seen: `SELECT * FROM ${name}_link_kept`,
      wanted: `SELECT * FROM app.${name}_link_all AS l WHERE ${isGone('l.parent')}`,
    },
  ];
}

/** Nothing is deleted there but by us, and of each key the first stays. */
function mergedPairs({ name, rows }: SoakTable, isRestored: boolean): Pair[] {
  const all = `SELECT * FROM app.${name}_original UNION ALL SELECT * FROM app.${name}_inserted`;
  const live = `SELECT * FROM ${name}`;
  if (isRestored) {
    return [
      { what: 'rows once the archive was put back', seen: live, wanted: all },
      {
        what: 'children, each with its first parent',
        seen: `SELECT * FROM ${name}_child`,
        wanted: `SELECT * FROM app.${name}_child_all`,
      },
    ];
  }
  const first = `FROM app.${name}_original WHERE id <= ${rows} ORDER BY at, id`;
  return [
    { what: 'live and archived rows', seen: `${live} UNION ALL SELECT * FROM ${name}_kept`, wanted: all },
    {
      what: 'of the first rows, those that stay',
      seen: `${live} WHERE id <= ${rows}`,
      wanted: `SELECT DISTINCT ON (at) * ${first}`,
    },
    {
      what: 'children with a parent of the same key',
      seen: `SELECT c.id, c.note, p.at FROM ${name}_child AS c JOIN ${name} AS p ON p.id = c.parent`,
      wanted: `SELECT c.id, c.note, p.at FROM app.${name}_child_all AS c JOIN (${all}) AS p ON p.id = c.parent`,
    },
  ];
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
  const inFiles = kind !== 'TABLE' && kind !== 'PURGE' && kind !== 'INCLUDE';
  if (inFiles && !isRestored) found.push(...(await loaded(client, table, archive)));
  for (const { what, seen, wanted } of pairsOf(table, isRestored)) {
    const [a, b] = [await multisetOf(client, seen), await multisetOf(client, wanted)];
    found.push({ what: `${name}: ${what}`, seen: a, wanted: b });
  }
  if (isRestored || !(inFiles || kind === 'TABLE')) return found;
  const twice = `SELECT id FROM (SELECT id FROM ${name} UNION ALL SELECT id FROM ${name}_kept) AS t GROUP BY id HAVING count(*) > 1`;
  const { rowCount } = await client.query(`${twice} LIMIT 10`);
  found.push({ what: `${name}: rows that are there twice`, seen: rowCount, wanted: 0 });
  return found;
}

/** The files of the run, each part in a table beside that which it is from, by the manifest alone. */
async function loaded(
  client: pg.Client,
  { name }: SoakTable,
  { root, runId }: { readonly root: string; readonly runId: string },
): Promise<Difference[]> {
  const files = await loadFiles(client, root, runId, async ({ table, columns }: Part) => {
    const kept = `${table ?? name}_kept`;
    await client.query(
      columns === undefined
        ? `CREATE TABLE ${kept} (LIKE ${name})`
        : `CREATE TABLE ${kept} (${columns.map((column) => `${column.name} ${column.type}`).join(', ')})`,
    );
    return kept;
  });
  return [
    {
      what: `${name}: wrong checksums in ${files.segments} segments`,
      seen: files.wrong.join(' '),
      wanted: '',
    },
    { what: `${name}: files that nothing lists`, seen: files.stray.join(' '), wanted: '' },
  ];
}
