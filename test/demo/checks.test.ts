import { describe, expect, it } from '@jest/globals';
import { makeChecks } from '../../src/demo/checks.ts';

describe('the checks of the demo', () => {
  it('name the figure that differs, and remember it until the end', () => {
    const lines: string[] = [];
    const checks = makeChecks((line) => lines.push(line));
    checks.same('rows', { planned: 1200, counted: 1200, deleted: 1200 });
    checks.same('rows', { planned: 1200, counted: 1199 });
    expect(lines).toEqual([
      '  ✓ rows: planned 1 200 = counted 1 200 = deleted 1 200',
      '  ✗ WRONG: rows: planned 1 200, but counted 1 199',
    ]);
    expect(checks.made()).toBe(2);
    expect(checks.wrong()).toEqual(['rows: planned 1 200, but counted 1 199']);
  });

  it('do not take a missing figure for the same as zero', () => {
    const checks = makeChecks(() => undefined);
    checks.same('rows in the archive', { planned: 0, archived: null });
    expect(checks.wrong()).toHaveLength(1);
  });
});
