import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { READ_SETTINGS, Session } from '../src/target/session.ts';
import {
  answersOf,
  bloatCases,
  buildCases,
  type CaseDatabase,
  faultOf,
  truthOf,
} from '../test/analysis/bloat-cases.ts';
import { type Version, VERSIONS } from '../test/support/installations.ts';
import { type ServerAddress, startServer } from '../test/support/server.ts';
import { peerAnswers } from './accuracy-peers.ts';
import { type Accuracy, accuracyPage, type Judged, lineOf, summaryOf } from './accuracy-report.ts';

const { values } = parseArgs({
  options: {
    versions: { type: 'string', default: '18,14' },
    scale: { type: 'string', default: '1' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'docs', 'accuracy.md') },
  },
});

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
const WATCHER = 'accuracy_watcher';

async function measure(version: Version): Promise<Accuracy> {
  const server = await startServer(version);
  const client = await connect(server.address);
  try {
    return await judgeAll(caseDatabase(version, server.address, client), client);
  } finally {
    await client.end();
    await server.stop();
  }
}

async function judgeAll(database: CaseDatabase, client: pg.Client): Promise<Accuracy> {
  const cases = bloatCases(Number(values.scale));
  say(`PostgreSQL ${database.version}: making ${cases.length} relations`);
  await buildCases(database, cases);
  await client.query(`CREATE ROLE ${WATCHER}; GRANT pg_monitor TO ${WATCHER}`);
  const peers = await peerAnswers(client);
  const estimated = await answersOf(database, cases);
  const watched = await answersOf(database, cases, { role: WATCHER });
  say('reading them');
  const measured = await answersOf(database, cases, { exact: true });
  say('rewriting them');
  const truth = await truthOf(database, cases);
  const judged = cases.map((one): Judged => {
    const answers = [estimated, watched, measured].map((answer) => answer.get(one.name));
    const is = truth.get(one.name) ?? 0;
    const faults = answers.flatMap((answer) => faultOf(one, answer, is) ?? []);
    return {
      one,
      truth: is,
      estimated: answers[0],
      watched: answers[1],
      measured: answers[2],
      peer: peers.get(one.name) ?? { formula: null, reading: null },
      faults,
    };
  });
  return { version: database.version, judged };
}

async function connect({ host, port, user, password }: ServerAddress): Promise<pg.Client> {
  const client = new pg.Client({ host, port, user, password, database: 'postgres' });
  await client.connect();
  return client;
}

function caseDatabase(version: Version, address: ServerAddress, client: pg.Client): CaseDatabase {
  const { host, port, user, password } = address;
  const target = { host, ip: host, port, user, database: 'postgres', tls: 'DISABLE' as const };
  return {
    version,
    url: `postgres://${user}:${password}@${host}:${port}/postgres`,
    run: async (text) => (await client.query<Record<string, unknown>>(text)).rows,
    session: () =>
      Session.open(
        { ...target, password: async () => password },
        { ...READ_SETTINGS, applicationName: 'declutter/bench' },
      ),
  };
}

const versions = values.versions.split(',').map((text) => {
  const version = VERSIONS.find((known) => String(known) === text);
  if (version === undefined) throw new TypeError(`PostgreSQL ${text} is none of ${VERSIONS.join(', ')}.`);
  return version;
});
const all: Accuracy[] = [];
for (const version of versions) all.push(await measure(version));
for (const { version, judged } of all) {
  process.stdout.write(
    `\nPostgreSQL ${version}\n${judged.map(lineOf).join('\n')}\n\n${summaryOf(judged).join('\n')}\n`,
  );
}
writeFileSync(values.out, accuracyPage(all));
const wrong = all.flatMap(({ version, judged }) =>
  judged.flatMap(({ one, faults }) =>
    faults.map((fault) => `${version}: ${one.shape}, ${one.state}: ${fault}`),
  ),
);
for (const fault of wrong) say(`WRONG ${fault}`);
process.exitCode = wrong.length === 0 ? 0 : 1;
