import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DeclutterError } from '../../src/errors.ts';
import type { PlanView } from '../../src/graphql/views.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';

const CANARY = 'canary-4f1d';

describe('errors', () => {
  let api: ApiServer;
  const state: { thrown: unknown } = { thrown: null };
  beforeAll(async () => {
    const fail = async () => {
      throw state.thrown;
    };
    api = await apiServer({ databases: { find: fail, remove: fail }, plans: { find: fail } });
  });
  afterAll(() => api.close());
  beforeEach(() => void api.log.splice(0));

  const ask = (query = '{ maintenanceStop { on } database(name: "x") { name } }') => api.ask('admin', query);

  it('that are ours come with their code, message and facts', async () => {
    state.thrown = new DeclutterError('CONFLICT', 'The table has a run.', { runId: 'r1' });
    const { errors } = await ask('{ database(name: "x") { name } }');
    expect(errors).toMatchObject([
      { message: 'The table has a run.', path: ['database'], extensions: { code: 'CONFLICT', runId: 'r1' } },
    ]);
  });

  it('that nobody foresaw are hidden behind an id, under which the log has the whole', async () => {
    state.thrown = new Error(`Key (email)=(${CANARY}) already exists.`);
    const { status, errors } = await ask('mutation { removeDatabase(name: "x") }');
    expect({ status, message: errors[0]?.message }).toEqual({
      status: 500,
      message: 'Internal server error',
    });
    expect(JSON.stringify(errors)).not.toContain(CANARY);
    const errorId = String(errors[0]?.extensions['errorId']);
    const line = api.log.find((text) => text.includes(errorId));
    expect(line).toContain(CANARY);
  });

  it('of Prisma are hidden too, and a store that is away is a 503', async () => {
    state.thrown = Object.assign(new Error(`Invalid prisma.${CANARY}.findMany() invocation`), {
      code: 'P2002',
    });
    expect(await ask('mutation { removeDatabase(name: "x") }')).toMatchObject({
      status: 500,
      errors: [{ message: 'Internal server error' }],
    });
    state.thrown = Object.assign(new Error(`Can't reach database server at ${CANARY}`), { code: 'P1001' });
    const answer = await ask('mutation { removeDatabase(name: "x") }');
    expect(answer).toMatchObject({ status: 503, errors: [{ extensions: { code: 'STORE_UNAVAILABLE' } }] });
    expect(JSON.stringify(answer.errors)).not.toContain(CANARY);
  });

  it('are the same for text that is no id as for an id that does not exist', async () => {
    state.thrown = null;
    expect((await ask('{ plan(id: "nonsense") { id } }')).data).toEqual({ plan: null });
    const { errors } = await ask('mutation { approvePlan(id: "nonsense", hash: "h") { id } }');
    expect(errors[0]?.extensions['code']).toBe('NOT_FOUND');
  });

  it('never carry a stack', async () => {
    state.thrown = new DeclutterError('TARGET_BUSY', 'Busy.', {}, { cause: new Error(CANARY) });
    const text = JSON.stringify((await ask('{ database(name: "x") { name } }')).errors);
    expect(text).not.toMatch(/\.ts|at Object|stack/);
    expect(text).not.toContain(CANARY);
  });
});

describe('the audit trail', () => {
  let api: ApiServer;
  const state: { store: 'up' | 'down'; registered: number } = { store: 'up', registered: 0 };
  const events: { action: string; actor: string; subject: string; outcome: string; detail: unknown }[] = [];
  beforeAll(async () => {
    api = await apiServer({
      databases: {
        register: async ({ name }) => {
          state.registered += 1;
          return { id: '1', name } as never;
        },
      },
      plans: {
        purge: async () =>
          ({ id: 'p1', hash: 'h', state: 'READY', forecast: { sample: [CANARY] } }) as unknown as PlanView,
        approve: async () => {
          throw new DeclutterError('SELF_APPROVAL_FORBIDDEN', 'Somebody else has to approve.');
        },
      },
      audit: {
        record: async (event) => {
          if (state.store === 'down') throw new DeclutterError('STORE_UNAVAILABLE', 'The store is away.');
          events.push(event);
        },
      },
    });
  });
  afterAll(() => api.close());
  beforeEach(() => void events.splice(0));

  const REGISTER = 'mutation ($input: RegisterDatabaseInput!) { registerDatabase(input: $input) { name } }';
  const input = { name: 'shop', host: 'db.example', database: 'shop', user: 'u', password: CANARY };

  it('has what was done, by whom, to what, without the password', async () => {
    await api.ask('admin', REGISTER, { input });
    expect(events).toMatchObject([
      { actor: 'admin', action: 'registerDatabase', subject: 'shop', outcome: 'STARTED' },
      {
        actor: 'admin',
        action: 'registerDatabase',
        subject: 'shop',
        outcome: 'SUCCEEDED',
        detail: { result: { name: 'shop' } },
      },
    ]);
    expect(JSON.stringify(events)).toContain('db.example');
    expect(JSON.stringify(events)).not.toContain(CANARY);
    expect(api.log.join('')).not.toContain(CANARY);
  });

  it('has references to passwords, and not a password in the place of one', async () => {
    const { password: _none, ...rest } = input;
    await api.ask('admin', REGISTER, { input: { ...rest, passwordRef: CANARY } });
    expect(JSON.stringify(events)).not.toContain(CANARY);
    await api.ask('admin', REGISTER, { input: { ...rest, passwordRef: 'env:DECLUTTER_TARGET_SHOP' } });
    expect(JSON.stringify(events)).toContain('env:DECLUTTER_TARGET_SHOP');
  });

  it('has what was refused, and why', async () => {
    await api.ask('viewer', REGISTER, { input });
    await api.ask(
      'approver',
      'mutation { approvePlan(id: "6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11", hash: "h") { id } }',
    );
    expect(events.map(({ actor, action, outcome }) => `${actor} ${action} ${outcome}`)).toEqual([
      'viewer registerDatabase FORBIDDEN',
      'approver approvePlan STARTED',
      'approver approvePlan SELF_APPROVAL_FORBIDDEN',
    ]);
  });

  it('has nothing of the content of a result', async () => {
    const purge =
      'mutation { planPurge(input: { database: "shop", table: "orders", where: { column: "id", op: EQ, value: "1" } }) { hash } }';
    expect((await api.ask('operator', purge)).data).toEqual({ planPurge: { hash: 'h' } });
    expect(events[1]).toMatchObject({
      subject: 'shop.public.orders',
      detail: { result: { id: 'p1', hash: 'h', state: 'READY' } },
    });
    expect(JSON.stringify(events)).not.toContain(CANARY);
  });

  it('stops a mutation that it cannot write down', async () => {
    state.registered = 0;
    state.store = 'down';
    const answer = await api.ask('admin', REGISTER, { input });
    state.store = 'up';
    expect(answer).toMatchObject({ status: 503, errors: [{ extensions: { code: 'STORE_UNAVAILABLE' } }] });
    expect(state.registered).toBe(0);
  });
});
