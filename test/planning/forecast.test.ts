import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ArchiveDestinationInput } from '../../src/domain/plan-inputs.ts';
import { makePlanning, OPERATOR, type Planning } from './planning.ts';

const ROWS = 300_000;

let planning: Planning;
beforeAll(async () => {
  planning = await makePlanning({
    sql: `CREATE TABLE t AS SELECT g AS id FROM generate_series(1, ${ROWS}) g; ANALYZE t`,
  });
});
afterAll(() => planning.close());

const seconds = async (destination: ArchiveDestinationInput | null, dutyCycle: number) => {
  const input = {
    database: 'shop',
    schema: 'public',
    table: 't',
    where: { column: 'id', op: 'GT', value: '0' } as const,
    dependents: 'REFUSE' as const,
    limits: { maxShare: 1 },
    throttle: { dutyCycle },
  };
  const plan =
    destination === null
      ? await planning.plans.purge(input, OPERATOR)
      : await planning.plans.archive({ ...input, destination }, OPERATOR);
  return plan.forecast.impact.estimatedSeconds!;
};

describe('the time that a plan tells', () => {
  it.each([
    ['a purge', null, 250_000],
    ['an archive to files', { kind: 'FILES' }, 75_000],
    ['an archive to a table', { kind: 'TABLE' }, 60_000],
  ] as [string, ArchiveDestinationInput | null, number][])(
    'is that of %s at the measured rate, with its rests',
    async (_what, destination, rate) => {
      for (const dutyCycle of [1, 0.2]) {
        const told = await seconds(destination, dutyCycle);
        const expected = ROWS / (rate * dutyCycle) + 2;
        expect(told).toBeGreaterThanOrEqual(expected);
        expect(told).toBeLessThanOrEqual(expected + 1 + 0.5 / dutyCycle);
      }
    },
  );
});
