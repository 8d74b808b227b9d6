import { Presets, SingleBar } from 'cli-progress';
import type { RunReport } from './follow-run.ts';
import { count, duration, percent } from './format.ts';

/** Shows how a run goes: a bar on a terminal, else a line now and then. */
export interface Progress {
  update(run: RunReport): void;
  /** Writes a line without tearing the bar. */
  note(line: string): void;
  end(): void;
}

/** Lines in a log are read later: not too many of them. */
const LINE_EVERY_MS = 10_000;

export function runProgress(
  stream: NodeJS.WriteStream,
  now: () => number = () => performance.now(),
): Progress {
  return stream.isTTY ? barProgress(stream) : lineProgress(stream, now);
}

function barProgress(stream: NodeJS.WriteStream): Progress {
  const bar = new SingleBar(
    { stream, format: '  {bar} {share}  {note}', hideCursor: true, barsize: 30, fps: 10, linewrap: false },
    Presets.shades_classic,
  );
  let begun = false;
  return {
    update(run) {
      const total = Math.max(1, run.progress.rowsTotal ?? run.progress.rowsDone, run.progress.rowsDone);
      const payload = { share: percent(run.progress.ratio), note: progressNote(run) };
      if (!begun) bar.start(total, 0, payload);
      begun = true;
      bar.setTotal(total);
      bar.update(run.progress.rowsDone, payload);
    },
    note(line) {
      if (begun) stream.write('\r\u001B[K');
      stream.write(`${line}\n`);
      if (begun) bar.render();
    },
    end() {
      if (begun) bar.stop();
    },
  };
}

function lineProgress(stream: NodeJS.WriteStream, now: () => number): Progress {
  let next = now() + LINE_EVERY_MS;
  return {
    update(run) {
      if (now() < next) return;
      next = now() + LINE_EVERY_MS;
      stream.write(`  ${percent(run.progress.ratio)}  ${progressNote(run)}\n`);
    },
    note: (line) => void stream.write(`${line}\n`),
    end: () => undefined,
  };
}

/** Rows, rate, time left, or why the run rests. */
export function progressNote(run: RunReport): string {
  const { rowsDone, rowsTotal, rowsPerSecond, etaSeconds } = run.progress;
  const rows = `${count(rowsDone)}${rowsTotal == null ? '' : ` of ${count(rowsTotal)}`} rows`;
  if (run.state !== 'RUNNING')
    return `${rows}, ${run.state}${run.stateReason == null ? '' : `: ${run.stateReason}`}`;
  const rate = rowsPerSecond == null ? '' : `, ${count(rowsPerSecond)} rows/s`;
  const left = etaSeconds == null ? '' : `, ${duration(etaSeconds)} left`;
  const rest = run.throttle.active ? `, rests: ${run.throttle.reason ?? ''}` : '';
  return `${rows}${rate}${left}${rest}`;
}
