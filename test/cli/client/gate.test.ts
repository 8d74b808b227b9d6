import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Command, CommanderError } from 'commander';
import { makeAnalysisUseCases } from '../../../src/analysis/analysis-use-cases.ts';
import { addClientCommands } from '../../../src/cli/client/commands.ts';
import { systemClock } from '../../../src/clock.ts';
import { makeConnect } from '../../../src/databases/connect.ts';
import { makeDatabases } from '../../../src/databases/database-use-cases.ts';
import { makeLog } from '../../../src/log.ts';
import { findingId } from '../../../src/store/findings.ts';
import { type ApiServer, apiServer, type Client } from '../../support/api-server.ts';
import { testStore } from '../../support/postgres.ts';
import { faultOf, registerRow, snapshotAgo } from '../../support/registered.ts';

const EVIL = 'o<r>&"d\'e\u0001rs]]>';

/** Throws unless every tag is closed in order, and every & and < is part of markup. Returns the names of the tags. */
function wellFormed(xml: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const body = xml.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '');
  expect(body).not.toBe(xml);
  const rest = body.replace(
    /<(\/?)([a-z]+)((?: [a-z]+="[^"<>]*")*)(\/?)>/g,
    (_tag, closes: string, name: string, _attributes, empty: string) => {
      if (closes === '/') expect(open.pop()).toBe(name);
      else seen.push(name);
      if (closes === '' && empty === '') open.push(name);
      return '';
    },
  );
  expect(open).toEqual([]);
  expect(rest).not.toMatch(/[<>]/);
  expect(body.replace(/&(?:amp|lt|gt|quot|#10|#9);/g, '')).not.toContain('&');
  // eslint-disable-next-line no-control-regex -- XML 1.0 cannot hold these
  expect(body).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
  return seen;
}

describe('declutter gate', () => {
  let api: ApiServer;
  let control: Awaited<ReturnType<typeof testStore>>;
  let folder: string;
  let baseline: string;
  let shop: string;
  const printed: string[] = [];

  beforeAll(async () => {
    control = await testStore();
    const { store } = control;
    folder = await mkdtemp(join(tmpdir(), 'declutter-gate-'));
    const base = {
      store,
      policy: { hosts: ['127.0.0.1'], embedded: null },
      secrets: { env: {}, folders: [], box: null },
    };
    const deps = { store, connect: makeConnect(base), clock: systemClock, log: makeLog('silent') };
    const analysis = makeAnalysisUseCases({ ...deps, analyses: [], replicas: async () => [] });
    api = await apiServer({
      analysis,
      databases: makeDatabases({ ...base, takeFirstSnapshot: analysis.takeSnapshot }),
    });
    shop = await registerRow(store, 'shop');
  });
  beforeEach(async () => {
    baseline = join(folder, `${Math.random()}.json`);
    await found('WARNING', 'orders', EVIL);
    printed.splice(0);
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    process.exitCode = 0;
    await control.store.prisma.database.deleteMany({ where: { name: { not: 'shop' } } });
    await control.store.prisma.database.updateMany({ data: { unreachable: null } });
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
    await api.close();
    await control.close();
  });

  /** The last snapshot has these tables at fault. */
  const found = (severity: 'NOTICE' | 'WARNING' | 'CRITICAL', ...tables: string[]) =>
    snapshotAgo(control.store, shop, 0, { faults: tables.map((table) => faultOf(table, { severity })) });

  /** The exit code. */
  async function gate(args: readonly string[], client: Client = 'viewer'): Promise<number> {
    process.exitCode = 0;
    const program = new Command('declutter').exitOverride();
    const environment = { DECLUTTER_URL: api.url, DECLUTTER_TOKEN: await api.token(client) };
    addClientCommands(program, environment);
    await program.parseAsync(['node', 'declutter', 'gate', ...args]);
    return process.exitCode;
  }
  const output = () => printed.join('');
  const all = (...args: string[]) => gate(['--all', '--baseline', baseline, ...args]);

  it('fails on findings of the limit or worse, and passes below it', async () => {
    expect(await gate(['--database', 'shop'])).toBe(2);
    expect(output()).toMatch(/shop +WARNING +TABLE_BLOAT +orders/);
    expect(output()).toContain('2 new of WARNING or worse, 0 known, 0 below that.');
    expect(await gate(['--database', 'shop', '--max-severity', 'critical'])).toBe(0);
    expect(await gate(['--database', 'shop', '--max-severity', 'notice'])).toBe(2);
  });

  it('passes what the baseline has, and fails on what is new or has become worse', async () => {
    expect(await all('--write-baseline')).toBe(0);
    expect(await all()).toBe(0);
    await found('WARNING', 'orders', EVIL, 'lines');
    expect(await all()).toBe(2);
    expect(output()).toContain('1 new of WARNING or worse, 2 known, 0 below that.');
    await found('CRITICAL', 'orders');
    expect(await all()).toBe(2);
    await found('NOTICE', 'orders');
    expect(await all()).toBe(0);
  });

  it('writes a baseline that people can read, and keeps what it has of other databases', async () => {
    const other = {
      id: 'x',
      database: 'elsewhere',
      kind: 'TABLE_BLOAT',
      severity: 'INFO',
      subject: 'public.a',
    };
    await writeFile(baseline, JSON.stringify({ version: 1, findings: [other] }));
    expect(await all('--write-baseline')).toBe(0);
    const file = JSON.parse(await readFile(baseline, 'utf8')) as { version: number; findings: unknown[] };
    const id = findingId('shop', faultOf('orders'));
    const orders = {
      id,
      database: 'shop',
      kind: 'TABLE_BLOAT',
      severity: 'WARNING',
      subject: 'public.orders',
    };
    expect(file).toMatchObject({ version: 1 });
    expect(file.findings).toHaveLength(3);
    expect(file.findings).toEqual(expect.arrayContaining([other, orders]));
    expect((await readFile(baseline, 'utf8')).split('\n').length).toBeGreaterThan(20);
  });

  it('leaves out what somebody has suppressed, until that has run out', async () => {
    const id = findingId('shop', faultOf('orders'));
    const mutation = `mutation { suppressFinding(id: "${id}", reason: "kept for the audit", until: "2099-01-01T00:00:00Z") { suppressed suppression { by reason until } } }`;
    expect((await api.ask('operator', mutation)).data).toEqual({
      suppressFinding: {
        suppressed: true,
        suppression: { by: 'operator', reason: 'kept for the audit', until: '2099-01-01T00:00:00.000Z' },
      },
    });
    await found('WARNING', 'orders');
    expect(await gate(['--all'])).toBe(0);
    const list = '{ findings(database: "shop", includeSuppressed: true) { nodes { id suppressed } } }';
    expect((await api.ask('viewer', list)).data).toEqual({ findings: { nodes: [{ id, suppressed: true }] } });
    await control.store.prisma.finding.update({ where: { id }, data: { suppressedUntil: new Date(0) } });
    expect(await gate(['--all'])).toBe(2);
    expect((await api.ask('viewer', list)).data).toEqual({
      findings: { nodes: [{ id, suppressed: false }] },
    });
  });

  it('passes nothing that it could not judge', async () => {
    await found('NOTICE', 'orders');
    expect(await gate(['--all'])).toBe(0);
    await registerRow(control.store, 'fresh');
    expect(await gate(['--all'])).toBe(1);
    expect(output()).toContain('fresh: There is no snapshot of it yet.');
    await control.store.prisma.database.updateMany({
      where: { name: 'shop' },
      data: { unreachable: 'gone' },
    });
    expect(await gate(['--database', 'shop'])).toBe(1);
    expect(output()).toContain('since it does not answer: gone');
    await expect(all('--write-baseline')).resolves.toBe(1);
  });

  it('tells what a snapshot found, and goes on when a database gives none', async () => {
    expect(await gate(['--all', '--analyze'], 'viewer')).toBe(1);
    expect(output()).toContain('FORBIDDEN');
    expect(await gate(['--all', '--analyze'], 'operator')).toBe(2);
    expect(output()).toMatch(/shop: .*does not answer/);
    expect(output()).toMatch(/shop +WARNING +TABLE_BLOAT +orders/);
  });

  it('needs to know what to look at, and a baseline that is one', async () => {
    await expect(gate([])).rejects.toThrow(CommanderError);
    await expect(gate(['--all', '--write-baseline'])).rejects.toThrow(CommanderError);
    await expect(gate(['--all', '--max-severity', 'loud'])).rejects.toThrow(CommanderError);
    expect(await gate(['--database', 'nowhere'])).toBe(1);
    expect(await all()).toBe(1);
    expect(output()).toContain('--write-baseline makes one');
    for (const text of ['{', '[]', '{"version":1,"findings":[{}]}', '{"version":2,"findings":[]}']) {
      await writeFile(baseline, text);
      expect(await all()).toBe(1);
    }
  });

  it('writes JSON', async () => {
    expect(await gate(['--all', '--format', 'json'])).toBe(2);
    expect(JSON.parse(output())).toMatchObject({
      outcome: 'FAILED',
      limit: 'WARNING',
      databases: ['shop'],
      problems: [],
      findings: [
        { database: 'shop', kind: 'TABLE_BLOAT', standing: 'NEW' },
        { database: 'shop', standing: 'NEW' },
      ],
    });
  });

  it('writes JUnit that is well-formed whatever the names are', async () => {
    await all('--write-baseline');
    await found('WARNING', 'orders', 'lines', EVIL);
    await registerRow(control.store, 'fresh');
    printed.splice(0);
    expect(await all('--format', 'junit')).toBe(2);
    const tags = wellFormed(output());
    expect(tags.filter((tag) => tag === 'testsuite')).toHaveLength(2);
    expect(tags.filter((tag) => tag === 'testcase')).toHaveLength(4);
    expect(output()).toContain('<testsuite name="shop" tests="3" failures="1" errors="0" skipped="2">');
    expect(output()).toContain('<testsuite name="fresh" tests="1" failures="0" errors="1" skipped="0">');
    expect(output()).toContain("o&lt;r&gt;&amp;&quot;d'e\ufffdrs]]&gt;");
  });

  it('writes SARIF 2.1.0', async () => {
    await all('--write-baseline');
    await found('CRITICAL', 'orders', 'lines');
    printed.splice(0);
    expect(await all('--format', 'sarif')).toBe(2);
    const log = JSON.parse(output()) as SarifLog;
    expect(Object.keys(log).sort()).toEqual(['$schema', 'runs', 'version']);
    expect(log.version).toBe('2.1.0');
    const [run] = log.runs;
    expect(run.tool.driver.name).toBe('declutter');
    expect(run.invocations).toEqual([{ executionSuccessful: true, toolExecutionNotifications: [] }]);
    expect(run.tool.driver.rules.map(({ id }) => id)).toEqual(['TABLE_BLOAT']);
    expect(run.results).toHaveLength(2);
    for (const result of run.results) {
      expect(run.tool.driver.rules[result.ruleIndex]?.id).toBe(result.ruleId);
      expect(['none', 'note', 'warning', 'error']).toContain(result.level);
      expect(['new', 'unchanged', 'updated', 'absent']).toContain(result.baselineState);
      expect(result.message.text).toMatch(/is bloated\. Half of it is waste\./);
      expect(result.partialFingerprints['findingId/v1']).toMatch(/^[0-9a-f]{32}$/);
      const [location] = result.locations;
      expect(new URL(location.physicalLocation.artifactLocation.uri, 'file:///').pathname).toMatch(
        /^\/shop\/public\//,
      );
      expect(location.logicalLocations[0].fullyQualifiedName).toMatch(/^shop: public\./);
    }
  });
});

interface SarifLog {
  readonly version: string;
  readonly runs: readonly [
    {
      readonly tool: {
        readonly driver: { readonly name: string; readonly rules: readonly { readonly id: string }[] };
      };
      readonly invocations: unknown;
      readonly results: readonly {
        readonly ruleId: string;
        readonly ruleIndex: number;
        readonly level: string;
        readonly baselineState: string;
        readonly message: { readonly text: string };
        readonly partialFingerprints: Readonly<Record<string, string>>;
        readonly locations: readonly [
          {
            readonly physicalLocation: { readonly artifactLocation: { readonly uri: string } };
            readonly logicalLocations: readonly [{ readonly fullyQualifiedName: string }];
          },
        ];
      }[];
    },
  ];
}
