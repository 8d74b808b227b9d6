/**
 * The proof by hand, on the built product and on servers of its own: npm run soak. Without options: millions of rows, and workers
 * killed with -9. --faults 300: so many random faults of every kind; --only 'connections cut' of that kind alone, --log FILE keeps
 * what the workers say. --faults 300 --naive: the same for an archive as one would write it at first, which has to fail. --takeover:
 * how long it takes until another worker has the run of one that was killed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { soakThroughFaults } from './faults.ts';
import { soakThroughKills } from './kills.ts';
import { soakNaively } from './naive.ts';
import { measureTakeover } from './takeover.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    kills: { type: 'string', default: '3' },
    faults: { type: 'string', default: '0' },
    only: { type: 'string', multiple: true, default: [] },
    log: { type: 'string' },
    naive: { type: 'boolean', default: false },
    takeover: { type: 'boolean', default: false },
  },
});

let failures = 0;

function check(what: string, seen: unknown, wanted: unknown): void {
  const held = seen === wanted;
  if (!held) failures += 1;
  process.stdout.write(
    `${held ? 'held  ' : 'FAILED'} ${what}: ${String(seen)}${held ? '' : ` (wanted ${String(wanted)})`}\n`,
  );
}

const folder = mkdtempSync(path.join(tmpdir(), 'declutter-soak-'));
const faults = Number(values.faults);
const rows = (otherwise: number) => Number(values.rows ?? otherwise);
try {
  if (values.takeover) await measureTakeover({ folder, check });
  else if (faults > 0 && values.naive) await soakNaively({ folder, check, faults, rows: rows(60_000) });
  else if (faults > 0) {
    const { only, log = null } = values;
    await soakThroughFaults({ folder, check, faults, rows: rows(60_000), only, log });
  } else await soakThroughKills({ folder, check, rows: rows(3_000_000), kills: Number(values.kills) });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(`${failures === 0 ? 'Nothing was lost.' : `${failures} checks failed.`}\n`);
process.exitCode = failures === 0 ? 0 : 1;
