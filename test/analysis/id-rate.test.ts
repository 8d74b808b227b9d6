import { describe, expect, it } from '@jest/globals';
import { countsToKeep, rateOf } from '../../src/analysis/id-rate.ts';
import type { IdCount } from '../../src/analysis/read-ages.ts';

const NOW: IdCount = { at: '2026-03-31T12:00:00+00:00', XID: 9_000_000_000, MULTIXACT: 500 };

const earlier = (hours: number, xid: number, multixact = 0): IdCount => ({
  at: new Date(Date.parse(NOW.at) - hours * 3_600_000).toISOString(),
  XID: xid,
  MULTIXACT: multixact,
});

const DISTANT = earlier(0.001, NOW.XID - 1);

describe('the rate of ids', () => {
  it('comes from the oldest analysis that is remembered', () => {
    const counts = [earlier(48, NOW.XID - 2_000_000), earlier(24, NOW.XID - 500)];
    expect(rateOf('XID', NOW, counts, DISTANT)).toEqual({ perDay: 1_000_000, from: 'HISTORY' });
  });

  it('comes from the last checkpoint when nothing is remembered, or only a moment', () => {
    const checkpoint = earlier(0.1, NOW.XID - 1_000);
    const rate = { perDay: 240_000, from: 'CHECKPOINT' };
    expect(rateOf('XID', NOW, [], checkpoint)).toEqual(rate);
    expect(rateOf('XID', NOW, [earlier(0.5, NOW.XID - 7)], checkpoint)).toEqual(rate);
  });

  it('is unknown right after a checkpoint, or while none are used', () => {
    expect(rateOf('XID', NOW, [], DISTANT)).toBeNull();
    expect(rateOf('XID', NOW, [earlier(48, NOW.XID)], DISTANT)).toBeNull();
  });

  it('counts multixacts across the end of their numbers', () => {
    expect(rateOf('MULTIXACT', NOW, [earlier(24, NOW.XID, 2 ** 32 - 500)], DISTANT)?.perDay).toBe(1_000);
  });

  it('remembers a month, four times a day, and nothing of another server', () => {
    const recent = earlier(2, NOW.XID - 1);
    expect(countsToKeep([], NOW)).toEqual([NOW]);
    expect(countsToKeep([recent], NOW)).toEqual([recent]);
    expect(countsToKeep([earlier(31 * 24, 1), earlier(20, NOW.XID - 9)], NOW)).toEqual([
      earlier(20, NOW.XID - 9),
      NOW,
    ]);
    expect(countsToKeep([earlier(20, NOW.XID + 9)], NOW)).toEqual([NOW]);
  });
});
