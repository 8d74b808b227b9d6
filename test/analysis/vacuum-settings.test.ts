import { describe, expect, it } from '@jest/globals';
import {
  type ServerSettings,
  settingsFor,
  thresholdFor,
  toastOptions,
} from '../../src/analysis/vacuum-settings.ts';

const SERVER: ServerSettings = {
  autovacuum: 'on',
  track_counts: 'on',
  autovacuum_vacuum_threshold: '50',
  autovacuum_vacuum_scale_factor: '0.2',
  autovacuum_vacuum_insert_threshold: '1000',
  autovacuum_vacuum_insert_scale_factor: '0.2',
  autovacuum_analyze_threshold: '50',
  autovacuum_analyze_scale_factor: '0.1',
  autovacuum_freeze_max_age: '200000000',
  autovacuum_multixact_freeze_max_age: '400000000',
  autovacuum_vacuum_cost_delay: '2',
  autovacuum_vacuum_cost_limit: '-1',
  vacuum_cost_delay: '0',
  vacuum_cost_limit: '200',
  vacuum_cost_page_dirty: '20',
};

const dead = (server: ServerSettings, options: string | null, rows: number) =>
  thresholdFor(settingsFor(server, options).dead, rows);

describe('the settings of a table', () => {
  it("are the server's, unless it has its own", () => {
    expect(dead(SERVER, null, 1_000_000)).toBe(200_050);
    expect(dead(SERVER, 'fillfactor=70', 1_000_000)).toBe(200_050);
    expect(dead(SERVER, 'autovacuum_vacuum_scale_factor=0.01', 1_000_000)).toBe(10_050);
    expect(dead(SERVER, 'autovacuum_vacuum_scale_factor=0,autovacuum_vacuum_threshold=1e3', 1_000_000)).toBe(
      1_000,
    );
    expect(thresholdFor(settingsFor(SERVER, 'autovacuum_analyze_threshold=7').analyze, 100)).toBe(17);
  });

  it('take a table that was never counted for an empty one', () => {
    expect(dead(SERVER, null, -1)).toBe(50);
  });

  it('know the upper bound of PostgreSQL 18, which -1 lifts', () => {
    const newer = { ...SERVER, autovacuum_vacuum_max_threshold: '100000000' };
    expect(dead(newer, null, 4e9)).toBe(100_000_000);
    expect(dead(newer, 'autovacuum_vacuum_max_threshold=500', 1_000_000)).toBe(500);
    expect(dead(newer, 'autovacuum_vacuum_max_threshold=-1', 4e9)).toBe(800_000_050);
  });

  it('let inserted rows be no reason', () => {
    expect(settingsFor(SERVER, 'autovacuum_vacuum_insert_threshold=-1').inserted).toBeNull();
    expect(settingsFor(SERVER, null).inserted).toEqual({ base: 1_000, scale: 0.2, max: null });
  });

  it('ask for an earlier freeze than the server, never for a later one', () => {
    const ages = (options: string) => settingsFor(SERVER, options);
    expect(ages('autovacuum_freeze_max_age=100000').freezeMaxAge).toBe(100_000);
    expect(ages('autovacuum_freeze_max_age=900000000').freezeMaxAge).toBe(200_000_000);
    expect(ages('autovacuum_multixact_freeze_max_age=900000000').multixactFreezeMaxAge).toBe(400_000_000);
  });

  it.each([
    [{ ...SERVER, autovacuum: 'off' }, null, 'SERVER'],
    [{ ...SERVER, track_counts: 'off' }, null, 'COUNTERS'],
    [SERVER, 'autovacuum_enabled=fal', 'TABLE'],
    [SERVER, 'autovacuum_enabled=of', 'TABLE'],
    [SERVER, 'autovacuum_enabled=on', null],
  ] as const)('tell whether autovacuum comes at all', (server, options, off) => {
    expect(settingsFor(server, options).off).toBe(off);
  });

  it('tell what autovacuum may write in a second', () => {
    expect(settingsFor(SERVER, null).dirtyBytesPerSecond).toBe(40_960_000);
    expect(settingsFor(SERVER, 'autovacuum_vacuum_cost_delay=20').dirtyBytesPerSecond).toBe(4_096_000);
    expect(settingsFor(SERVER, 'autovacuum_vacuum_cost_delay=0').dirtyBytesPerSecond).toBeNull();
  });

  it("are a TOAST table's own as soon as it has any, and all of its table's else", () => {
    expect(toastOptions('autovacuum_vacuum_threshold=1', 'autovacuum_enabled=off')).toBe(
      'autovacuum_vacuum_threshold=1',
    );
    expect(toastOptions(null, 'autovacuum_enabled=off')).toBe('autovacuum_enabled=off');
  });
});
