/** The moments that the order of a batch, of a take-over and of an end depends on; tests make a process fail there. */
const NAMES = [
  'batch.opened', // fence, table locks and fingerprints are had; no row is touched
  'batch.treated', // the rows are deleted or inserted, in the open transaction
  'batch.stored', // what was taken away is durable; the ledger's entry has not been sent
  'batch.commit-sent', // the message with the entry and COMMIT has left
  'batch.committed', // the answer has come; the worker's own cursor has not moved
  'segment.written', // the bytes of a batch are in the file or object, not durable
  'segment.synced',
  'segment.read-back',
  'segment.renamed', // a segment has its final name; the ledger does not know
  'manifest.written', // beside the old one
  'takeover.fenced',
  'takeover.copying', // some frames of a dead worker's file are in the new one
  'archive.listing', // all is in the ledger, and not in the control store
  'run.ending', // the turn is over, and the state still the old one
] as const;

type Name = (typeof NAMES)[number];

export interface Failpoint {
  readonly name: Name;
  /** kill: SIGKILL to this process. stop: SIGSTOP. busy: nothing else is done for so long. */
  readonly action: 'kill' | 'stop' | 'busy';
  readonly ms: number;
  /** at which passing, from 1 on; once */
  readonly hit: number;
}

let left: Map<Failpoint, number> | null = null;

/** Does nothing unless a test has set a failpoint of this name. */
export function failpoint(name: Name): void {
  if (left !== null) pass(left, name);
}

/** For tests, and for a process that its configuration allows it. */
export function setFailpoints(points: readonly Failpoint[]): void {
  left = points.length === 0 ? null : new Map(points.map((point) => [point, point.hit]));
}

/** Of a text such as "batch.treated=kill@3,segment.synced=busy:20000"; null when it is not one. */
export function parseFailpoints(text: string): Failpoint[] | null {
  const points = text.split(',').map(parseOne);
  return points.every((point) => point !== null) ? points : null;
}

function parseOne(text: string): Failpoint | null {
  const match = /^([a-z.-]+)=(?:(kill|stop)|(busy):(\d{1,6}))(?:@(\d{1,6}))?$/.exec(text);
  const name = NAMES.find((known) => known === match?.[1]);
  if (!match || !name) return null;
  const action = (match[2] ?? match[3]) as Failpoint['action'];
  return { name, action, ms: Number(match[4] ?? 0), hit: Number(match[5] ?? 1) };
}

function pass(points: Map<Failpoint, number>, name: Name): void {
  for (const [point, hits] of points) {
    if (point.name !== name) continue;
    points.set(point, hits - 1);
    if (hits === 1) act(point);
  }
}

function act({ action, ms }: Failpoint): void {
  if (action === 'busy') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  else process.kill(process.pid, action === 'kill' ? 'SIGKILL' : 'SIGSTOP');
}
