import { askArchive, PURGE, purgeOf } from './prepare.ts';
import { elsewhere, type Row, rows } from './row.ts';
import { type Reply, say, type Scene } from './scene.ts';

const BAD = '400 BAD_USER_INPUT';
const ANSI = '\u001b[2J\u001b]0;x\u0007';

/** An error as it is; of a plan its state, its blockers and how many rows it would take. */
function sayPlan(reply: Reply): string {
  const [plan] = Object.values(reply.data ?? {});
  if (plan == null) return say(reply);
  const { state, blockers, impact } = plan as {
    state: string;
    blockers: { code: string }[];
    impact: { rows: number };
  };
  if (blockers.length === 0) return `${state}, ${impact.rows} rows`;
  return `${state} ${blockers.map(({ code }) => code).join(' ')}`;
}

const purge = (scene: Scene, change: object) =>
  scene.ask('operator', PURGE, purgeOf({ ...change })).then(sayPlan);
const filter = (scene: Scene, where: object) => purge(scene, { where });
const archive = (scene: Scene, destination: object) =>
  askArchive(scene.ask, { where: { column: 'id', op: 'EQ', value: '9' }, destination }).then(sayPlan);

const id = (op: string, value: string) => ({ column: 'id', op, value });
const older = (age: string) => ({ column: 'at', op: 'OLDER_THAN', age });

const saying = async (scene: Scene, reason: string): Promise<string> => {
  const { run } = scene.known.started;
  const asked = [
    await purge(scene, { reason }),
    ...(await Promise.all(
      [
        'pauseRun(id: $id, reason: $reason) { id }',
        'cancelRun(id: $id, reason: $reason) { id }',
        'suppressFinding(id: $id, reason: $reason) { id }',
        'setMaintenanceStop(on: true, reason: $reason) { on }',
        'rejectPlan(id: $plan, comment: $reason) { id }',
      ].map((field) => {
        const plan = field.includes('$plan') ? '$plan: ID!' : '';
        const target = field.includes('$id') ? '$id: ID!' : '';
        const query = `mutation ($reason: String!, ${plan}${target}) { ${field} }`;
        return scene.ask('admin', query, { id: run, plan: scene.known.ownPurge.id, reason }).then(say);
      }),
    )),
  ];
  return [...new Set(asked)].join(' and ');
};

export const DATA: readonly Row[] = [
  ...rows(
    'S1, S3',
    '200 NOT_FOUND',
    { 'a table x"; drop table y; --': 'x"; DROP TABLE events; --', 'a table in another case': 'Events' },
    (scene, table) => purge(scene, { table }),
  ),
  ...rows(
    'S2',
    BAD,
    { '64 bytes': 'x'.repeat(64), NUL: 'a\0b', 'no name': '', 'white space': '  ' },
    (scene, table) => purge(scene, { table }),
  ),
  ...rows('S4', 'BLOCKED UNSAFE_TABLE', { 'pg_catalog.pg_class': null }, (scene) =>
    purge(scene, {
      schema: 'pg_catalog',
      table: 'pg_class',
      where: { column: 'relname', op: 'EQ', value: 'x' },
    }),
  ),
  elsewhere(
    'S4',
    'the ledger as a source',
    'test/planning/plan-refusals.test.ts',
    'is told as a blocker: %s.%s',
  ),
  elsewhere(
    'S4',
    'the table of an archive as a source',
    'test/planning/plan-archive.test.ts',
    'is kept from a table that holds an archive',
  ),
  ...rows(
    'S5',
    'BLOCKED NOT_A_TABLE',
    { 'a view': 'a_view', 'a materialised view': 'a_matview', 'a foreign table': 'a_foreign' },
    (scene, table) => purge(scene, { table }),
  ),
  ...rows('S6', 'NEEDS_APPROVAL, 0 rows', { "the value ' or 1=1 --": null }, (scene) =>
    filter(scene, { column: 'kind', op: 'EQ', value: "' or 1=1 --" }),
  ),
  ...rows<object>(
    'S7',
    'BLOCKED SHARE_LIMIT',
    {
      'above the least of the type': id('GE', '-9223372036854775808'),
      'NOT IS NULL': { not: { column: 'id', op: 'IS_NULL' } },
    },
    filter,
  ),
  ...rows<object>(
    'S8',
    BAD,
    {
      'an empty list': { all: [] },
      'no member': {},
      'two members': { ...id('EQ', '1'), all: [id('EQ', '1')] },
    },
    filter,
  ),
  ...rows(
    'S9',
    BAD,
    {
      P0D: older('P0D'),
      'a negative age': older('-P1D'),
      P1000Y: older('P1000Y'),
      '10^20 seconds': older('PT99999999999999999999S'),
      '10^400 months': older(`P${'9'.repeat(400)}M`),
    },
    filter,
  ),
  ...rows(
    'S10',
    BAD,
    {
      infinity: { column: 'at', op: 'LT', value: 'infinity' },
      'a time that is none': { column: 'at', op: 'LT', value: '2024-02-31' },
    },
    filter,
  ),
  ...rows<object>(
    'S11',
    BAD,
    {
      '2 000 values': { column: 'id', op: 'IN', values: Array.from({ length: 2_000 }, (_, i) => String(i)) },
    },
    filter,
  ),
  ...rows<object>(
    'S11',
    '413 PAYLOAD_TOO_LARGE',
    { '100 000 values': { column: 'id', op: 'IN', values: Array(100_000).fill('1') } },
    filter,
  ),
  ...rows(
    'S12',
    BAD,
    { 'a text for a bigint': id('EQ', 'seven'), '2^63': id('EQ', '9223372036854775808') },
    filter,
  ),
  ...rows<object>(
    'S13, S14, S15',
    BAD,
    {
      'SQL as a filter': { sql: 'id IN (SELECT pg_sleep(10))' },
      'SQL as a column': { column: 'id = 1) OR (true', op: 'IS_NOT_NULL' },
      'a statement behind it': { ...id('EQ', '1; DELETE FROM events') },
    },
    filter,
  ),
  ...rows('S16', BAD, { LIKE: { column: 'kind', op: 'LIKE', value: '%a%a%a%a%a%' } }, filter),
  elsewhere(
    'S17',
    'a planted operator or type',
    'test/target/row-filter.test.ts',
    'mean the same when a user plants an operator or a type before those of PostgreSQL',
  ),
  elsewhere(
    'S18',
    'a trigger that fires',
    'test/planning/plan-refusals.test.ts',
    'tells the triggers that would fire, and warns of one that may keep rows',
  ),
  elsewhere(
    'S19',
    'an archive table of other columns',
    'test/planning/plan-archive.test.ts',
    'looks at its destination: %j is %s',
  ),
  ...rows(
    'S20, S21',
    'BLOCKED UNKNOWN_STORE',
    {
      'the store ../../etc': { kind: 'FILES', store: '../../etc' },
      'the store /etc': { kind: 'FILES', store: '/etc' },
      'the store CON': { kind: 'FILES', store: 'CON' },
      'a name of 300 bytes': { kind: 'FILES', store: 'x'.repeat(300) },
      'a bucket %2e%2e': { kind: 'S3', store: '%2e%2e' },
    },
    archive,
  ),
  ...rows(
    'S25',
    BAD,
    {
      'a reason of 50 kB': 'x'.repeat(50_000),
      'escape sequences': ANSI,
      'a change of direction': 'a\u202eb',
    },
    saying,
  ),
];
