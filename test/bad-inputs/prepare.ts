import type { TestDatabase } from '../support/postgres.ts';
import type { Scene } from './scene.ts';

/** A value of a row that viewers and approvers may never see. */
export const ROW_CANARY = 'canary-of-a-row-5c1e';

export const SHOP = `
  CREATE TABLE events (id bigint PRIMARY KEY, kind text, at timestamptz NOT NULL);
  INSERT INTO events SELECT i, '${ROW_CANARY}', '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 3000) i;
  CREATE TABLE sessions (id int PRIMARY KEY, note text, at timestamptz NOT NULL);
  INSERT INTO sessions SELECT i, '${ROW_CANARY}', '2024-01-01' FROM generate_series(1, 2000) i;
  CREATE TABLE held (id int PRIMARY KEY); INSERT INTO held SELECT generate_series(1, 50);
  CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders);
  INSERT INTO orders SELECT generate_series(1, 20); INSERT INTO lines SELECT i, i FROM generate_series(1, 20) i;
  CREATE VIEW a_view AS SELECT * FROM events; CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM events;
  CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE a_foreign (id int, at timestamptz) SERVER s;
  ANALYZE`;

type Ask = Scene['ask'];

/** What rows of the table of bad inputs act upon. */
export interface Prepared {
  /** what registerDatabase takes */
  readonly registration: Readonly<Record<string, unknown>>;
  /** of the admin, started with the key "first": a run that no worker takes */
  readonly started: PlanId & { readonly run: string };
  /** of the operator, for the same table as the run */
  readonly second: PlanId;
  /** of the operator, not to be started without approval */
  readonly purge: PlanId;
  /** of the admin, likewise */
  readonly ownPurge: PlanId;
}

export interface PlanId {
  readonly id: string;
  readonly hash: string;
}

export const REGISTER =
  'mutation ($input: RegisterDatabaseInput!) { registerDatabase(input: $input) { name } }';
export const PURGE =
  'mutation ($input: PlanPurgeInput!) { planPurge(input: $input) { id hash state blockers { code } impact { rows } } }';
const ARCHIVE =
  'mutation ($input: PlanArchiveInput!) { planArchive(input: $input) { id hash state blockers { code } impact { rows } } }';
export const START =
  'mutation ($id: ID!, $hash: String!, $key: String!) { startRun(planId: $id, planHash: $hash, idempotencyKey: $key) { id state } }';

export const purgeOf = (change: object) => ({
  input: { database: 'shop', table: 'events', where: { column: 'id', op: 'EQ', value: '7' }, ...change },
});
export const archiveOf = (change: object) => ({
  input: { ...purgeOf({}).input, destination: { kind: 'TABLE' }, ...change },
});

export const askArchive = (ask: Ask, change: object) => ask('operator', ARCHIVE, archiveOf(change));

export async function prepare(ask: Ask, target: TestDatabase): Promise<Prepared> {
  const registration = {
    name: 'shop',
    host: 'localhost',
    port: target.address.port,
    database: target.name,
    user: target.address.user,
    passwordRef: 'env:DECLUTTER_TARGET_SHOP_PASSWORD',
    tls: 'DISABLE',
    allowSuperuser: true,
  };
  const done = async (client: 'admin' | 'operator', query: string, variables: object) => {
    const { data, text } = await ask(client, query, variables);
    const [result] = Object.values(data ?? {});
    if (result == null) throw new Error(`The scene could not be prepared: ${text}`);
    return result as { id: string; hash: string };
  };
  await done('admin', REGISTER, { input: registration });
  const hold = { input: { database: 'shop', table: 'held', reason: 'A court wants them.' } };
  await done('admin', 'mutation ($input: HoldInput!) { placeHold(input: $input) { id } }', hold);
  const started = await done('admin', ARCHIVE, archiveOf({}));
  const second = await done(
    'operator',
    ARCHIVE,
    archiveOf({ where: { column: 'id', op: 'EQ', value: '8' } }),
  );
  const run = await done('admin', START, { ...started, key: 'first' });
  const sessions = purgeOf({ table: 'sessions' });
  return {
    registration,
    started: { ...started, run: run.id },
    second,
    purge: await done('operator', PURGE, sessions),
    ownPurge: await done('admin', PURGE, sessions),
  };
}
