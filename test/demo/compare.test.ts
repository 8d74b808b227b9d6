import { describe, expect, it } from '@jest/globals';
import { medianChange } from '../../src/demo/compare.ts';
import type { QueryTime, Shape } from '../../src/demo/typical-queries.ts';

const time = (shape: Shape | null, ms: number, unitMs = 1): QueryTime => ({
  name: 'x',
  shape,
  ms,
  unitMs,
  sum: '',
});

describe('the change of the workload', () => {
  it('is the median of its queries, each by its own time before; those beside it do not count', () => {
    const before = [
      time('scan', 10),
      time('count', 100),
      time(null, 1),
      time('look-up', 8),
      time('range aggregate', 4),
    ];
    const after = [
      time('scan', 1),
      time('count', 60),
      time(null, 50),
      time('look-up', 4, 2),
      time('range aggregate', 8),
    ];
    expect(medianChange(before, after)).toBeCloseTo((-0.75 - 0.4) / 2);
  });
});
