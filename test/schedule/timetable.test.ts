import { describe, expect, it } from '@jest/globals';
import type { Timetable } from '../../src/domain/policy.ts';
import { checkTimetable, nextTick } from '../../src/schedule/timetable.ts';

const BERLIN: Timetable = {
  schedule: '30 2 * * *',
  timeZone: 'Europe/Berlin',
  window: null,
  jitterSeconds: 0,
};

/** So many ticks after that moment, in UTC without the seconds. */
function ticks(change: Partial<Timetable>, after: string, count: number): string[] {
  const found: string[] = [];
  for (let at: Date | null = new Date(after); found.length < count;) {
    at = nextTick('nightly', { ...BERLIN, ...change }, at)?.at ?? null;
    if (at === null) break;
    found.push(at.toISOString().slice(0, 16));
  }
  return found;
}

describe('ticks of a schedule', () => {
  it('keep to the clock of their time zone when summer time begins and ends', () => {
    expect(ticks({ schedule: '0 12 * * *' }, '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T11:00',
      '2026-03-29T10:00',
      '2026-03-30T10:00',
    ]);
    expect(ticks({ schedule: '0 12 * * *' }, '2026-10-23T12:00:00Z', 3)).toEqual([
      '2026-10-24T10:00',
      '2026-10-25T11:00',
      '2026-10-26T11:00',
    ]);
  });

  it('come once at the first moment after a time that spring leaves out', () => {
    expect(ticks({}, '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:00', // 03:00 in Berlin: there is no 02:30
      '2026-03-30T00:30',
    ]);
  });

  it('come once at a time that autumn has twice, the first of them', () => {
    expect(ticks({}, '2026-10-24T12:00:00Z', 2)).toEqual(['2026-10-25T00:30', '2026-10-26T01:30']);
    expect(ticks({ schedule: '15,45 2 * * *' }, '2026-10-24T12:00:00Z', 3)).toEqual([
      '2026-10-25T00:15',
      '2026-10-25T00:45',
      '2026-10-26T01:15',
    ]);
  });

  it('come each quarter of an hour that passes, in the hour that comes twice too', () => {
    expect(ticks({ schedule: '*/30 * * * *' }, '2026-10-24T23:40:00Z', 6)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T00:30',
      '2026-10-25T01:00',
      '2026-10-25T01:30',
      '2026-10-25T02:00',
      '2026-10-25T02:30',
    ]);
  });

  it('never stand still or go back in a year of a zone that moves by half an hour', () => {
    const year = ticks(
      { schedule: '*/20 1-3 * * *', timeZone: 'Australia/Lord_Howe' },
      '2026-01-01T00:00:00Z',
      3_200,
    );
    expect(year).toHaveLength(3_200);
    expect(year.every((at, i) => i === 0 || at > year[i - 1]!)).toBe(true);
  });

  it('outside of the window do not count', () => {
    const window = { from: '22:00', to: '06:00' };
    expect(ticks({ schedule: '0 */4 * * *', window }, '2026-01-10T12:00:00Z', 4)).toEqual([
      '2026-01-10T23:00', // midnight in Berlin
      '2026-01-11T03:00',
      '2026-01-11T23:00',
      '2026-01-12T03:00',
    ]);
  });

  it('are put off by the same jitter whoever asks, each by another one', () => {
    const timetable = { ...BERLIN, schedule: '* * * * *', jitterSeconds: 600 };
    const delays = ticks({ schedule: '* * * * *' }, '2026-01-10T12:00:00Z', 50).map((at) => {
      const asked = [1, 2].map(() => nextTick('nightly', timetable, new Date(Date.parse(`${at}Z`) - 1_000))!);
      expect(asked[0]).toEqual(asked[1]);
      return asked[0]!.runsAt.getTime() - asked[0]!.at.getTime();
    });
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThan(600_000);
    expect(new Set(delays).size).toBeGreaterThan(40);
  });
});

describe('a schedule', () => {
  const checked = (change: Partial<Timetable>) => () =>
    checkTimetable({ ...BERLIN, ...change }, new Date('2026-01-10T12:00:00Z'));

  it.each(['30 2 * * *', '*/5 22-23,0-5 * * 1-5', '0 0 1 jan,jul mon'])('is taken: %s', (schedule) => {
    expect(checked({ schedule })).not.toThrow();
  });

  it.each([
    '',
    'every day',
    '@daily',
    '0 30 2 * * *',
    '60 2 * * *',
    '30 24 * * *',
    '30 2 * *',
    '30 2 L * *',
    '30 2 * * 8',
  ])('is refused: "%s"', (schedule) => {
    expect(checked({ schedule })).toThrow(/five fields/);
  });

  it('is refused when no tick of it can ever come', () => {
    expect(checked({ schedule: '0 12 30 2 *' })).toThrow(/no tick/);
    expect(checked({ window: { from: '22:00', to: '23:00' } })).toThrow(/no tick within window/);
  });

  it.each([
    [{ timeZone: 'Europe/Atlantis' }, /timeZone/],
    [{ window: { from: '22', to: '06:00' } }, /window/],
    [{ window: { from: '22:00', to: '22:00' } }, /window is empty/],
    [{ jitterSeconds: 3_601 }, /jitterSeconds/],
    [{ jitterSeconds: -1 }, /jitterSeconds/],
  ])('is refused with %j', (change, message) => {
    expect(checked(change)).toThrow(message);
  });
});
