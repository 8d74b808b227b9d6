import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect } from '@jest/globals';
import { type FaultScene, faultScene, FILES, ONE_LANE, TWO_LANES } from '../support/fault-scene.ts';
import { itWithStrace, traced } from '../support/strace.ts';

let scene: FaultScene;
let folder: string;

beforeEach(async () => {
  scene = await faultScene();
  folder = await mkdtemp(path.join(tmpdir(), 'declutter-trace-'));
});

afterEach(async () => {
  await scene.close();
  await rm(folder, { recursive: true });
});

type Step =
  | 'CREATE'
  | 'WRITE'
  | 'SYNC'
  | 'READ'
  | 'COMMIT'
  | 'TRUNCATE'
  | 'SYNC_ALL'
  | 'RENAME'
  | 'SYNC_FOLDER'
  | 'SEALED';

/** What matters of a line of strace; pwrite64(21</tmp/.../000001-f1.copy.zst.open>, ... */
function stepOf(line: string): Step | null {
  const isSegment = line.includes('.copy.zst.open>');
  if (/ openat\(.*\.copy\.zst\.open", .*O_EXCL/.test(line)) return 'CREATE';
  if (/ pwrite64\(/.test(line) && isSegment) return 'WRITE';
  if (/ fdatasync\(/.test(line) && isSegment) return 'SYNC';
  if (/ pread64\(/.test(line) && isSegment) return 'READ';
  if (/ ftruncate\(/.test(line) && isSegment) return 'TRUNCATE';
  if (/ fsync\(/.test(line) && isSegment) return 'SYNC_ALL';
  if (/ rename\(.*\.copy\.zst\.open", /.test(line)) return 'RENAME';
  if (/ fsync\(\d+<[^>]*\/[0-9a-f-]{36}>/.test(line)) return 'SYNC_FOLDER';
  if (/ (write|writev|sendto)\(\d+<(TCP|socket)/.test(line)) {
    if (line.includes('INSERT INTO declutter.batch')) return 'COMMIT';
    if (line.includes('INSERT INTO declutter.segment') && line.includes('true')) return 'SEALED';
  }
  return null;
}

async function stepsOf(throttle: typeof ONE_LANE): Promise<Step[]> {
  const runId = await scene.queue(FILES, { throttle });
  const file = path.join(folder, 'trace');
  expect(await scene.turn(runId, { under: traced(file), times: { leaseMs: 30_000, heartbeatMs: 500 } })).toBe(
    0,
  );
  expect(await scene.violations(runId)).toEqual([]);
  return stepsIn((await readFile(file, 'utf8')).split('\n'));
}

/** In order: a COMMIT counts from when it begins to be sent, everything else once the kernel has answered. */
function stepsIn(lines: readonly string[]): Step[] {
  const underWay = new Map<string, Step>();
  return lines.flatMap((line) => {
    const [thread = ''] = line.split(' ');
    if (line.includes(' resumed>')) {
      const step = underWay.get(thread) ?? [];
      underWay.delete(thread);
      return step;
    }
    const step = stepOf(line);
    if (step === null || !line.endsWith('<unfinished ...>')) return step ?? [];
    if (step === 'COMMIT' || step === 'SEALED') return step;
    underWay.set(thread, step);
    return [];
  });
}

const runs = (steps: readonly Step[]): Step[] => steps.filter((step, i) => step !== steps[i - 1]);

describe('as the kernel sees it', () => {
  itWithStrace.each([
    ['one batch at a time', ONE_LANE],
    ['two batches under way', TWO_LANES],
  ])('(%s) bytes are written, durable and read back before the COMMIT is sent', async (_, throttle) => {
    const steps = runs(await stepsOf(throttle));
    const named = steps.slice(steps.indexOf('CREATE'));
    expect(named.slice(0, named.indexOf('COMMIT'))).toContain('SYNC_FOLDER');
    const batches = steps.slice(0, steps.indexOf('TRUNCATE'));
    const commits = batches.filter((step) => step === 'COMMIT').length;
    expect(commits).toBeGreaterThan(9);
    const each = ['WRITE', 'SYNC', 'READ', 'COMMIT'];
    expect(batches.filter((step) => each.includes(step))).toEqual(
      Array.from({ length: commits }, () => each).flat(),
    );
  });

  itWithStrace(
    'a segment is trimmed and durable before it has its name, and its name before the ledger calls it sealed',
    async () => {
      const steps = runs(await stepsOf(ONE_LANE));
      const end = steps.slice(steps.indexOf('TRUNCATE')).filter((step) => step !== 'READ');
      expect(end).toEqual(['TRUNCATE', 'SYNC_ALL', 'RENAME', 'SYNC_FOLDER', 'SEALED', 'SYNC_FOLDER']);
    },
  );
});
