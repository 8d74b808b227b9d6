import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DatabaseFigures, ReplicaUsage } from '../../src/analysis/define-analysis.ts';
import { readReplicas } from '../../src/analysis/read-replicas.ts';
import { countedSince, doubtsAboutUsage } from '../../src/analysis/usage-counters.ts';
import { DeclutterError } from '../../src/errors.ts';
import { FakeStandby } from '../support/fake-standby.ts';
import { type OwnServer, ownServer, type TestDatabase } from '../support/postgres.ts';
import { figuresOf, inTurn } from './support.ts';

const DAY = 86_400_000;

/** What is said about the use of an index or a table rests on this. */
describe('counters of use', () => {
  let server: OwnServer;
  let database: TestDatabase;
  let figures: DatabaseFigures;

  beforeAll(async () => {
    server = await ownServer();
    database = await server.database();
    await inTurn(
      database,
      'CREATE TABLE thing (a int PRIMARY KEY)',
      'SET enable_seqscan = off; SELECT 1 FROM thing WHERE a = 3',
    );
    figures = await figuresOf(database);
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  const now = new Date(Date.now() + 30 * DAY);
  const doubts = (given: Partial<DatabaseFigures>, replicas: readonly ReplicaUsage[] = []) =>
    doubtsAboutUsage({
      figures: { ...figures, ...given },
      watchedSince: new Date('2020-01-01'),
      now,
      replicas,
    });

  it('are believed when nothing speaks against it', () => {
    expect(doubts({})).toEqual([]);
  });

  it('are no older than those of the server, which a crash sets to zero without a word', async () => {
    expect(figures.countersSince).toBeNull();
    const context = { figures, watchedSince: new Date('2020-01-01'), now, replicas: [] };
    expect(countedSince(context)).toEqual(figures.countersBegan);
    expect(Date.now() - figures.countersBegan!.getTime()).toBeLessThan(DAY);
    expect(doubts({ countersBegan: new Date(now.getTime() - 2 * DAY) })[0]).toContain('2 days only');
    expect(countedSince({ ...context, watchedSince: null })).toBeNull();
  });

  it('leave out standbys that are not registered, also when our role may not see what they do', async () => {
    const standby = await FakeStandby.start(database.url);
    const role = `nobody_${database.name}`;
    await database.run(`CREATE ROLE ${role}`);
    const seen = await figuresOf(database);
    const session = await database.session();
    await session.script(`SET ROLE ${role}`);
    const [usage] = await readReplicas(session, [
      { name: 'copy:1', open: async () => openAs(database, role) },
    ]);
    await standby.close();
    await database.run(`DROP ROLE ${role}`);
    expect(seen.standbys).toBe(1);
    expect(usage).toMatchObject({ unreachable: null, standbys: 1 });
    expect(doubts(seen)[0]).toContain('1 more standbys');
  });

  it('leave out standbys that are away', async () => {
    await database.run(`SELECT pg_create_physical_replication_slot('away')`);
    const seen = await figuresOf(database);
    await database.run(`SELECT pg_drop_replication_slot('away')`);
    expect(doubts(seen)[0]).toContain('1 replication slots of standbys are not in use now');
  });

  it('of a replica are taken with their age, and only from a copy of this database', async () => {
    const session = await database.session();
    const other = await server.database();
    const [own, stranger, silent] = await readReplicas(session, [
      { name: 'own:1', open: () => database.session() },
      { name: 'stranger:1', open: () => other.session() },
      { name: 'silent:1', open: () => Promise.reject(new DeclutterError('TARGET_UNREACHABLE', 'no answer')) },
    ]);
    await other.drop();
    expect(own).toMatchObject({ unreachable: null, receives: false, countersSince: figures.countersBegan });
    expect(own!.scans.get(figures.tables[0]!.indexes[0]!.oid)).toBe(1);
    expect(stranger).toMatchObject({ unreachable: 'it is no copy of this database' });
    expect(silent).toMatchObject({ unreachable: 'no answer' });
    expect(doubts({}, [own!])).toEqual([]);
    expect(doubts({}, [stranger!])[0]).toContain('could not be asked');
    expect(doubts({}, [{ ...own!, countersSince: null }])[0]).toContain('not known to be 7 days old');
  });

  it('count the standbys of a standby, and not a replica that has fallen off', () => {
    const replica: ReplicaUsage = {
      name: 'copy:1',
      unreachable: null,
      countersSince: new Date('2020-01-01'),
      receives: true,
      standbys: 0,
      scans: new Map(),
    };
    expect(doubts({ standbys: 1 }, [replica])).toEqual([]);
    expect(doubts({ standbys: 1 }, [{ ...replica, standbys: 2 }])[0]).toContain('2 more standbys');
    expect(doubts({ standbys: 1 }, [{ ...replica, receives: false }])[0]).toContain('1 more standbys');
  });
});

async function openAs(database: TestDatabase, role: string) {
  const session = await database.session();
  await session.script(`SET ROLE ${role}`);
  return session;
}
