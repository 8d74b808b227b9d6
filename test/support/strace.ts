import { spawnSync } from 'node:child_process';
import { it } from '@jest/globals';

/** For a test that has strace trace a worker or fail its calls. */
export const itWithStrace = isThere() ? it : it.skip;

function isThere(): boolean {
  if (spawnSync('strace', ['-V']).status === 0) return true;
  const message = 'strace is missing (Debian has a package of that name).';
  if (process.env['CI'] === 'true') throw new Error(`${message} CI allows no skipped test.`);
  process.stderr.write(`${message} Tests that need it are skipped.\n`);
  return false;
}

/** Programs to run a worker under (strace, of Debian's package of that name). One thread does all the work on files, so that calls can be counted. */
const ONE_THREAD = ['env', 'UV_THREADPOOL_SIZE=1'];

/** The call fails the n-th time with that error. */
export const failing = (call: string, error: string, when: number): string[] => [
  ...ONE_THREAD,
  ...[
    'strace',
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    `trace=${call}`,
    '-e',
    `inject=${call}:error=${error}:when=${when}`,
  ],
];

/** Writes what it does with files and sockets to a file, a call in a line, in order. */
export const traced = (file: string): string[] => [
  ...ONE_THREAD,
  ...['strace', '-f', '-qq', '-y', '-s', '4096', '-o', file],
  ...['-e', 'trace=openat,pwrite64,write,writev,sendto,pread64,fsync,fdatasync,rename,ftruncate,close'],
];
