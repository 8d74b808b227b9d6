import { PURGE, purgeOf, type PlanId, START } from './prepare.ts';
import { elsewhere, type Row, rows } from './row.ts';
import { say, type Scene } from './scene.ts';

const CONTROL = {
  resumeRun: 'mutation ($id: ID!) { resumeRun(id: $id) { state } }',
  retryRun: 'mutation ($id: ID!) { retryRun(id: $id) { state } }',
};

const start = (scene: Scene, plan: PlanId, key: string, client: 'admin' | 'operator' = 'operator') =>
  scene.ask(client, START, { id: plan.id, hash: plan.hash, key });

const sameRun = async (scene: Scene): Promise<string> => {
  const { data } = await start(scene, scene.known.started, 'first', 'admin');
  const { id } = data?.['startRun'] as { id: string };
  return id === scene.known.started.run ? 'the same run' : 'another run';
};

const manyTimes = async (scene: Scene): Promise<string> => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => sameRun(scene)));
  return [...new Set(answers)].join(' and ');
};

export const WORKFLOW: readonly Row[] = [
  ...rows('W1', 'the same run', { 'the same key and plan': null }, sameRun),
  ...rows('W2', '200 IDEMPOTENCY_KEY_REUSED', { 'the same key, another plan': null }, (scene) =>
    start(scene, scene.known.second, 'first', 'admin').then(say),
  ),
  ...rows('W3', 'the same run', { 'the same key 50 times at once': null }, manyTimes),
  ...rows('W4', '200 CONFLICT', { 'a table with an active run': 'second' }, (scene, key) =>
    start(scene, scene.known.second, key).then(say),
  ),
  ...rows(
    'W4',
    '400 BAD_USER_INPUT',
    { 'a key of 300 characters': 'x'.repeat(300), 'no key': ' ' },
    (scene, key) => start(scene, scene.known.second, key).then(say),
  ),
  ...rows('W5', '200 OK', { 'resume what waits for a worker': CONTROL.resumeRun }, (scene, query) =>
    scene.ask('operator', query, { id: scene.known.started.run }).then(say),
  ),
  ...rows('W5', '200 CONFLICT', { 'retry what has not failed': CONTROL.retryRun }, (scene, query) =>
    scene.ask('operator', query, { id: scene.known.started.run }).then(say),
  ),
  ...rows('W7', '200 APPROVAL_REQUIRED', { 'a purge on production': 'purge' }, (scene, key) =>
    start(scene, scene.known.purge, key).then(say),
  ),
  elsewhere(
    'W9',
    'a plan that is too old',
    'test/planning/decide-and-check.test.ts',
    'comes too late once the plan has expired',
  ),
  ...rows('W11', '200 CONFLICT', { 'remove a database with a run': null }, (scene) =>
    scene.ask('admin', 'mutation { removeDatabase(name: "shop") }').then(say),
  ),
  ...rows('W14', 'BLOCKED HOLD', { 'a table under a hold': null }, async (scene) => {
    const where = { column: 'id', op: 'EQ', value: '7' };
    const { data } = await scene.ask('operator', PURGE, purgeOf({ table: 'held', where }));
    const { state, blockers } = data?.['planPurge'] as { state: string; blockers: { code: string }[] };
    return `${state} ${blockers.map(({ code }) => code).join(' ')}`;
  }),
];
