import { describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { BatchTuner } from '../../src/engine/batch-size.ts';

const grown = (tuner: BatchTuner): number => {
  for (let batch = 0; batch < 20; batch++)
    tuner.record({ ms: 0, units: tuner.size(DEFAULT_THROTTLE).units, rows: 0 }, DEFAULT_THROTTLE);
  return tuner.size(DEFAULT_THROTTLE).units;
};

describe('the size of batches', () => {
  it('begins small again when units are something else', () => {
    const tuner = new BatchTuner();
    const { units: first } = tuner.size(DEFAULT_THROTTLE);
    expect(grown(tuner)).toBeGreaterThan(1_000 * first);
    tuner.restart();
    expect(tuner.size(DEFAULT_THROTTLE).units).toBe(first);
  });

  it('learns nothing from a batch without units, and stays within the rows of a batch', () => {
    const tuner = new BatchTuner();
    tuner.record({ ms: 0, units: 0, rows: 0 }, DEFAULT_THROTTLE);
    for (let batch = 0; batch < 20; batch++) {
      const { units } = tuner.size(DEFAULT_THROTTLE);
      tuner.record({ ms: 0, units, rows: units * 100 }, DEFAULT_THROTTLE);
    }
    expect(tuner.size(DEFAULT_THROTTLE).units * 100).toBeLessThanOrEqual(DEFAULT_THROTTLE.batchRows);
  });
});
