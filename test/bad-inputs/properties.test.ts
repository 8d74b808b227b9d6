import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalFilter, filterColumns, type RowFilterInput } from '../../src/domain/filter.ts';
import { FilterOp } from '../../src/domain/words.ts';
import { DeclutterError } from '../../src/errors.ts';
import { pageStart } from '../../src/store/page.ts';
import { PURGE, purgeOf, REGISTER, ROW_CANARY } from './prepare.ts';
import { openScene, say, type Scene } from './scene.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const TWO_CENTURIES_MS = 201 * 366 * 86_400_000;

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.constantFrom('id', 'at', "' or 1=1 --", '"; DROP TABLE events; --', '\ud800', 'a\0b', '$1', '%s'),
);
const age = fc.oneof(
  fc.constantFrom('P90D', 'PT1H', 'P0D', 'P1000Y', '-P1D', 'P', 'PT'),
  fc
    .record({ years: fc.nat(), months: fc.bigInt({ min: 0n }), seconds: fc.bigInt({ min: 0n }) })
    .map(({ years, months, seconds }) => `P${years}Y${months}MT${seconds}S`),
);

/** Anything that has the form of a filter, and some that have not. */
const { filter } = fc.letrec<{ filter: RowFilterInput; comparison: RowFilterInput }>((tie) => ({
  comparison: fc.record(
    {
      column: text,
      op: fc.constantFrom(...Object.values(FilterOp)),
      value: text,
      values: fc.array(text, { maxLength: 3 }),
      age,
    },
    { requiredKeys: [] },
  ),
  filter: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    tie('comparison'),
    fc.record({ all: fc.array(tie('filter'), { maxLength: 4 }) }),
    fc.record({ any: fc.array(tie('filter'), { maxLength: 4 }) }),
    fc.record({ not: tie('filter') }),
    fc.record({ not: tie('filter'), all: fc.array(tie('filter'), { maxLength: 1 }) }),
  ),
}));

/** What was thrown, when it is a refusal for the caller to read. @throws anything else */
function refusalOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof DeclutterError) return error.code;
    throw error;
  }
}

describe('whatever filter comes', () => {
  it('it is refused, or becomes one with nothing but known columns and a cut-off that lies in the past', () => {
    fc.assert(
      fc.property(filter, (input) => {
        const refused = refusalOf(() => canonicalFilter(input, NOW));
        if (refused !== null) return expect(refused).toBe('BAD_USER_INPUT');
        const canonical = canonicalFilter(input, NOW);
        const columns = new Set(filterColumns(canonical.filter));
        expect(
          [...columns].filter((column) => !JSON.stringify(input).includes(JSON.stringify(column))),
        ).toEqual([]);
        const ms = canonical.cutoff === null ? 3_600_000 : NOW.getTime() - canonical.cutoff.getTime();
        expect(ms).toBeGreaterThanOrEqual(3_600_000);
        expect(ms).toBeLessThan(TWO_CENTURIES_MS);
        expect(canonicalFilter(input, NOW)).toEqual(canonical);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('whatever cursor comes', () => {
  const part = fc.oneof(
    text,
    fc.constantFrom('1', '-1', '2024-01-01T00:00:00.000Z', 'INFO'),
    fc.nat().map(String),
    fc.jsonValue(),
  );
  const cursor = fc.oneof(
    fc.array(part, { maxLength: 4 }).map((parts) => Buffer.from(JSON.stringify(parts)).toString('base64url')),
    fc.string({ unit: 'binary' }),
    fc.base64String(),
  );

  it('it is refused, or has just what the database is to be asked', () => {
    const kinds = ['moment', 'id', 'sequence', 'size', 'severity', 'text'] as const;
    fc.assert(
      fc.property(
        cursor,
        fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 3 }),
        (after, wanted) => {
          const refused = refusalOf(() => pageStart({ after }, wanted));
          if (refused !== null) return expect(refused).toBe('BAD_USER_INPUT');
          const key = pageStart({ after }, wanted) ?? [];
          expect(key).toHaveLength(wanted.length);
          expect(key.filter((part) => part.includes('\0'))).toEqual([]);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('no list of the API fails over it', async () => {
    const nested = ['tables', 'findings', 'snapshots'].map(
      (list) => `${list}(after: $after) { pageInfo { endCursor } }`,
    );
    const lists = ['plans', 'runs', 'archives', 'auditEvents'].map(
      (list) => `${list}(after: $after) { pageInfo { endCursor } }`,
    );
    const events = `run(id: "${scene.known.started.run}") { events(after: $after) { pageInfo { endCursor } } }`;
    const fields = [...lists, ...nested.map((list) => `database(name: "shop") { ${list} }`), events];
    await fc.assert(
      fc.asyncProperty(cursor, fc.constantFrom(...fields), async (after, field) => {
        const reply = await scene.ask('admin', `query ($after: String) { ${field} }`, { after });
        expect(['200 OK', '200 BAD_USER_INPUT', '400 BAD_USER_INPUT']).toContain(say(reply));
      }),
      { numRuns: 300 },
    );
  });
});

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

describe('whatever name comes', () => {
  it('no other table is found by it, and nothing fails', async () => {
    const known = new Set([
      'events',
      'sessions',
      'held',
      'orders',
      'lines',
      'a_view',
      'a_matview',
      'a_foreign',
    ]);
    await fc.assert(
      fc.asyncProperty(
        text.filter((name) => !known.has(name)),
        async (table) => {
          const { data, errors } = await scene.ask('operator', PURGE, purgeOf({ table }));
          expect(data).toBeNull();
          expect(['NOT_FOUND', 'BAD_USER_INPUT']).toContain(errors[0]?.extensions['code']);
          const looked = await scene.ask(
            'viewer',
            'query ($name: String!) { table(database: "shop", name: $name) { name } }',
            { name: table },
          );
          expect(['200 OK', '400 BAD_USER_INPUT']).toContain(say(looked));
          expect(looked.data?.['table'] ?? null).toBeNull();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('a table that has it is found by it, and by nothing else', async () => {
    const legal = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter(
        (name) =>
          name.trim() !== '' && !name.includes('\0') && name.isWellFormed() && Buffer.byteLength(name) < 64,
      );
    await fc.assert(
      fc.asyncProperty(legal, async (name) => {
        const quoted = `"${name.replaceAll('"', '""')}"`;
        await scene.target.run(`CREATE SCHEMA names; CREATE TABLE names.${quoted} (id int)`);
        try {
          const query =
            'query ($name: String!) { table(database: "shop", schema: "names", name: $name) { name } }';
          const found = async (wanted: string) =>
            (await scene.ask('viewer', query, { name: wanted })).data?.['table'];
          expect([await found(name), await found(`${name}x`)]).toEqual([{ name }, null]);
        } finally {
          await scene.target.run('DROP SCHEMA names CASCADE');
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe('whatever variables come', () => {
  const OPERATIONS = [
    REGISTER,
    PURGE,
    'mutation ($input: UpdateDatabaseInput!) { updateDatabase(name: "absent", input: $input) { name } }',
    'mutation ($input: HoldInput!) { placeHold(input: $input) { id } }',
    'mutation ($input: PlanRestoreInput!) { planRestore(input: $input) { id } }',
    'mutation ($input: ThrottleInput!) { updateThrottle(runId: "x", throttle: $input) { id } }',
  ];
  const SECRET = 'canary-of-a-property';
  const hidden = fc.constantFrom<unknown>(SECRET, [SECRET], { deep: SECRET }, { password: SECRET });
  const member = fc.oneof(fc.jsonValue({ maxDepth: 3 }), hidden);
  const names = fc.constantFrom(
    'port',
    'tls',
    'allowSuperuser',
    'replicas',
    'where',
    'limits',
    'throttle',
    'password',
    'onConflict',
    'input',
  );

  it('they are refused without an echo of what does not fit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...OPERATIONS),
        fc.oneof(fc.dictionary(names, member), member),
        async (query, input) => {
          const reply = await scene.ask('admin', query, { input });
          expect([400, 200]).toContain(reply.status);
          expect(reply.errors.length).toBeGreaterThan(0);
          expect(reply.errors.length).toBeLessThanOrEqual(10);
          expect(reply.text).not.toContain(SECRET);
          expect(reply.text).not.toContain(ROW_CANARY);
          expect(reply.errors.map(({ extensions }) => extensions['code'])).not.toContain(
            'INTERNAL_SERVER_ERROR',
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
