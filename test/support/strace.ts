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
