import { askArchive } from './prepare.ts';
import { elsewhere, type Row, rows } from './row.ts';
import { say, type Scene } from './scene.ts';

const APPROVE = 'mutation ($id: ID!, $hash: String!) { approvePlan(id: $id, hash: $hash) { id state } }';
const DECIDE_TEST = 'test/planning/decide-and-check.test.ts';

const MUTATIONS: Readonly<Record<string, string>> = {
  'a viewer stops everything': 'mutation { setMaintenanceStop(on: true, reason: "x") { on } }',
  'a viewer removes a database': 'mutation { removeDatabase(name: "shop") }',
  'a viewer starts a run': 'mutation { startRun(planId: "x", planHash: "h", idempotencyKey: "k") { id } }',
  'a viewer releases a hold': 'mutation { releaseHold(id: "x", reason: "y") { id } }',
};

const audited = async (scene: Scene, query: string): Promise<string> => {
  const answer = say(await scene.ask('viewer', query));
  const { data } = await scene.ask('admin', '{ auditEvents(first: 1) { nodes { actor outcome } } }');
  return `${answer}, ${JSON.stringify((data?.['auditEvents'] as { nodes: unknown[] }).nodes[0])}`;
};

/** The approval must not be given either: the plan stays as it is, which the dump shows. */
const payload = async ({ ask, known }: Scene, result: string): Promise<string> =>
  say(
    await ask(
      'approver',
      `mutation ($id: ID!, $hash: String!) { approvePlan(id: $id, hash: $hash) { id ${result} } }`,
      known.purge,
    ),
  );

async function machine({ sign, send, known }: Scene): Promise<string> {
  const token = await sign({ sub: 'ci', client_id: 'ci', scope: 'declutter:read declutter:approve' });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  return say(await send({ headers, body: JSON.stringify({ query: APPROVE, variables: known.purge }) }));
}

async function otherHash({ ask, known }: Scene): Promise<string> {
  return say(await ask('approver', APPROVE, { id: known.purge.id, hash: known.second.hash }));
}

const START =
  'mutation ($id: ID!, $hash: String!) { startRun(planId: $id, planHash: $hash, idempotencyKey: "stale") { id } }';

export const AUTHORISATION: readonly Row[] = [
  elsewhere(
    'Z1',
    'every root field for every role',
    'test/graphql/schema.test.ts',
    'lets each role do what the golden table says, and nothing else',
  ),
  ...rows('Z2', '403 FORBIDDEN, {"actor":"viewer","outcome":"FORBIDDEN"}', MUTATIONS, audited),
  ...rows(
    'Z4',
    '403 FORBIDDEN',
    {
      'an approval whose result shows rows': 'sample',
      'or measures a table': 'database { tables { nodes { bloat(exact: true) { ratio } } } }',
    },
    payload,
  ),
  ...rows('Z5', '403 SELF_APPROVAL_FORBIDDEN', { 'the own plan': null }, ({ ask, known }) =>
    ask('admin', APPROVE, known.ownPurge).then(say),
  ),
  ...rows('Z5', '403 FORBIDDEN', { 'a machine approves': null }, machine),
  ...rows('Z5', '403 FORBIDDEN', { 'an operator approves': null }, ({ ask, known }) =>
    ask('operator', APPROVE, known.ownPurge).then(say),
  ),
  elsewhere('Z6', 'the table has changed since', DECIDE_TEST, 'a plan that is to start'),
  ...rows('Z7', '200 PRECONDITION_FAILED', { 'the approval of another hash': null }, otherHash),
  ...rows('Z8', '200 PRECONDITION_FAILED', { 'a start with a stale hash': null }, ({ ask, known }) =>
    ask('operator', START, { id: known.second.id, hash: 'stale' }).then(say),
  ),
  ...rows('Z12', '403 FORBIDDEN', { 'an operator reads the audit trail': null }, ({ ask }) =>
    ask('operator', '{ auditEvents { nodes { actor } } }').then(say),
  ),
  ...rows('Z13', '200 NOT_FOUND', { 'the archive ../../etc/passwd': '../../etc/passwd' }, ({ ask }, id) =>
    ask('operator', 'mutation ($id: ID!) { verifyArchive(id: $id) { ok } }', { id }).then(say),
  ),
  ...rows('Z3', '200 NOT_FOUND', { 'a database that is not there': 'absent' }, ({ ask }, database) =>
    askArchive(ask, { database }).then(say),
  ),
];
