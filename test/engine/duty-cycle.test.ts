import { describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { affordableShare, restAfter, slowdownAt } from '../../src/engine/duty-cycle.ts';

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

describe('how much of the time a run may work', () => {
  /** From 1 to 2 ms, one as likely as the other. */
  const alone = Array.from({ length: 200 }, (_, i) => 1 + i / 200);
  const beside = (factor: number) => alone.map((ms) => ms * factor);

  it('is what was asked for when nobody is slower for it', () => {
    expect(affordableShare(0.2, { alone, beside: alone }, 1.25)).toBe(0.2);
    expect(slowdownAt(0.2, { alone, beside: alone })).toBeCloseTo(1, 1);
  });

  it('falls until only the slowest would notice', () => {
    const latencies = { alone, beside: beside(10) };
    const share = affordableShare(0.2, latencies, 1.25);
    expect(slowdownAt(0.2, latencies)).toBeGreaterThan(5);
    expect(share).toBeLessThan(0.03);
    expect(slowdownAt(share, latencies)).toBeLessThanOrEqual(1.25);
  });

  it('may stay large where the bound is', () => {
    expect(affordableShare(0.2, { alone, beside: beside(10) }, 20)).toBe(0.2);
    expect(affordableShare(0.2, { alone, beside: beside(1.2) }, 1.25)).toBe(0.2);
  });

  it('is never nothing, and never more than was asked for', () => {
    expect(affordableShare(0.2, { alone, beside: beside(1_000) }, 1)).toBe(0.01);
    expect(affordableShare(0.005, { alone, beside: beside(1_000) }, 1)).toBe(0.005);
  });
});
