import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PlanView, PolicyView } from '../../src/graphql/views.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';

const POLICY: PolicyView = {
  name: 'nightly',
  enabled: true,
  kind: 'PURGE',
  input: { table: 'event', where: { column: 'email', op: 'EQ', value: 'ann@example.com' } },
  schedule: '30 2 * * *',
  timeZone: 'Europe/Berlin',
  window: { from: '22:00', to: '06:00' },
  missed: 'ONCE',
  jitterSeconds: 60,
  autoStartMaxRows: 1_000,
  nextRunAt: new Date('2026-06-01T00:30:12Z'),
  lastRunId: null,
  savedBy: 'ada',
  savedAt: new Date('2026-05-01T00:00:00Z'),
};

describe('policies over HTTP', () => {
  let api: ApiServer;
  const saved: unknown[] = [];
  beforeAll(async () => {
    api = await apiServer({
      policies: {
        find: async (name) => (name === POLICY.name ? POLICY : null),
        list: async () => [POLICY],
        lastResult: async () => null,
        save: async (input) => {
          saved.push(input);
          return POLICY;
        },
        run: async () => ({ plan: { id: 'p1', state: 'NEEDS_APPROVAL' } as PlanView, run: null }),
      },
    });
  });
  afterAll(() => api.close());

  it('show when they run next to everybody, and the values of their filter to those who plan', async () => {
    const times =
      '{ policy(name: "nightly") { nextRunAt window { from to } missed lastRun { id } lastResult { outcome } } }';
    expect((await api.ask('viewer', times)).data).toEqual({
      policy: {
        nextRunAt: '2026-06-01T00:30:12.000Z',
        window: { from: '22:00', to: '06:00' },
        missed: 'ONCE',
        lastRun: null,
        lastResult: null,
      },
    });
    const input = '{ policies { input } }';
    const refused = await api.ask('viewer', input);
    expect(refused.errors[0]!.extensions['code']).toBe('FORBIDDEN');
    expect(JSON.stringify(refused)).not.toContain('ann@example.com');
    expect((await api.ask('operator', input)).data).toEqual({ policies: [{ input: POLICY.input }] });
    expect((await api.ask('viewer', '{ policy(name: "another") { name } }')).data).toEqual({ policy: null });
  });

  it('are saved with the defaults of the contract', async () => {
    const mutation = `mutation { savePolicy(input: {
      name: "nightly", schedule: "30 2 * * *"
      archive: { database: "shop", table: "event", where: { column: "at", op: OLDER_THAN, age: "P90D" }, destination: { kind: FILES } }
    }) { name } }`;
    expect((await api.ask('admin', mutation)).data).toEqual({ savePolicy: { name: 'nightly' } });
    expect(saved).toMatchObject([
      {
        enabled: true,
        timeZone: 'UTC',
        missed: 'SKIP',
        jitterSeconds: 0,
        archive: { schema: 'public', dependents: 'REFUSE', where: { age: 'P90D' } },
      },
    ]);
    expect(api.audit.map(({ action, subject, outcome }) => [action, subject, outcome])).toEqual([
      ['savePolicy', 'nightly', 'STARTED'],
      ['savePolicy', 'nightly', 'SUCCEEDED'],
    ]);
  });

  it('answer with the plan when there is no run yet', async () => {
    const mutation =
      'mutation { runPolicy(name: "nightly", idempotencyKey: "build-7") { plan { id state } run { id } } }';
    expect((await api.ask('operator', mutation)).data).toEqual({
      runPolicy: { plan: { id: 'p1', state: 'NEEDS_APPROVAL' }, run: null },
    });
  });
});
