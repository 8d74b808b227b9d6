import { describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { restAfter } from '../../src/engine/duty-cycle.ts';

const at = (dutyCycle: number) => ({ ...DEFAULT_THROTTLE, dutyCycle });

describe('the duty cycle', () => {
  it('rests four times as long as the batch took, by default', () => {
    expect(restAfter(5, DEFAULT_THROTTLE)).toBeCloseTo(20);
  });

  it('rests three times as long at a quarter, and not at all at one', () => {
    expect(restAfter(5, at(0.25))).toBeCloseTo(15);
    expect(restAfter(5, at(1))).toBe(0);
  });

  it('never rests so long that the run looks dead', () => {
    expect(restAfter(5_000, at(0.01))).toBe(10_000);
  });
});
