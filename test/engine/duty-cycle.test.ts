import { describe, expect, it } from '@jest/globals';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { affordableShare, restAfter, slowedBeside } from '../../src/engine/duty-cycle.ts';

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

describe('how many statements of others are slow beside a batch', () => {
  /** From 1 to 2 ms, one as likely as the other. */
  const alone = Array.from({ length: 200 }, (_, i) => 1 + i / 200);
  const beside = (factor: number, count = 62) => alone.slice(-count).map((ms) => ms * factor);

  it('is next to none when they take no longer', () => {
    expect(slowedBeside({ alone, beside: beside(1) }, 1.25)).toBeCloseTo(1 / 64);
  });

  it('is all when they take ten times as long', () => {
    expect(slowedBeside({ alone, beside: beside(10) }, 1.25)).toBeCloseTo(63 / 64);
    expect(slowedBeside({ alone, beside: beside(10) }, 20)).toBeCloseTo(1 / 64);
  });

  it('counts only what is slower than without a batch', () => {
    const noisy = [...alone, ...Array.from({ length: 200 }, () => 50)];
    expect(slowedBeside({ alone: noisy, beside: Array.from({ length: 62 }, () => 49) }, 1)).toBeCloseTo(
      1 / 64,
    );
  });

  it('is believed to be all before anything is known, and half before the first was seen', () => {
    expect(slowedBeside({ alone: alone.slice(0, 19), beside: beside(1) }, 1.25)).toBe(1);
    expect(slowedBeside({ alone, beside: [] }, 1.25)).toBe(0.5);
  });
});

describe('how much of the time a run may work', () => {
  it('is what was asked for when hardly anybody is slower for it', () => {
    expect(affordableShare(0.2, 0)).toBe(0.2);
    expect(affordableShare(0.2, 1 / 64)).toBe(0.2);
  });

  it('falls until half a statement in a hundred would notice', () => {
    expect(affordableShare(0.2, 0.25)).toBeCloseTo(0.02);
    expect(affordableShare(0.2, 0.05)).toBeCloseTo(0.1);
  });

  it('is never nothing, and never more than was asked for', () => {
    expect(affordableShare(0.2, 1)).toBe(0.005);
    expect(affordableShare(0.002, 1)).toBe(0.002);
  });
});
