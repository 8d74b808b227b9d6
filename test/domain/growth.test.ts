import { describe, expect, it } from '@jest/globals';
import { forecastBytes, growthOf, type Sample } from '../../src/domain/growth.ts';

const day = (n: number, totalBytes: number, wastedBytes: number | null = 0): Sample => ({
  takenAt: new Date(Date.UTC(2026, 0, 1 + n, 6)),
  totalBytes,
  wastedBytes,
});

describe('growth', () => {
  it('is not known with less than three days', () => {
    expect(growthOf([])).toBeNull();
    expect(growthOf([day(0, 100), day(1, 200)])).toBeNull();
  });

  it('is so much a day, whatever the gaps between the days', () => {
    const growth = growthOf([day(0, 1_000), day(1, 1_100), day(4, 1_400), day(9, 1_900)]);
    expect(growth).toMatchObject({ bytesPerDay: 100, days: 4, lastBytes: 1_900 });
    expect(growth!.since).toEqual(new Date(Date.UTC(2026, 0, 1, 6)));
    expect(forecastBytes(growth!, 30)).toBe(4_900);
    expect(forecastBytes(growth!, 90)).toBe(10_900);
  });

  it('is not bent by one jump', () => {
    const samples = Array.from({ length: 20 }, (_, i) => day(i, 10_000 + 100 * i - (i >= 18 ? 9_000 : 0)));
    expect(growthOf(samples)?.bytesPerDay).toBe(100);
  });

  it('ends at nothing when it shrinks', () => {
    const growth = growthOf([day(0, 300), day(1, 200), day(2, 100)]);
    expect(growth?.bytesPerDay).toBe(-100);
    expect(forecastBytes(growth!, 30)).toBe(0);
  });

  it('of the waste rests on the days when it was known', () => {
    const known = [day(0, 1, 10), day(1, 1, null), day(2, 1, 30), day(3, 1, 40)];
    expect(growthOf(known)?.wastedBytesPerDay).toBe(10);
    expect(growthOf(known.slice(0, 3))?.wastedBytesPerDay).toBeNull();
  });
});
