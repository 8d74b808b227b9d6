import { spawnSync } from 'node:child_process';

/** Runs every check, also after one has failed, so that one run shows all there is to mend. */
const CHECKS = ['format', 'lint', 'types', 'imports', 'unused', 'migrations', 'schema'] as const;

const failed = CHECKS.filter((name) => {
  const start = performance.now();
  process.stdout.write(`\n== check:${name}\n`);
  const { status } = spawnSync('npm', ['run', '--silent', `check:${name}`], { stdio: 'inherit' });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stdout.write(`== check:${name} ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s\n`);
  return status !== 0;
});

process.stdout.write(failed.length === 0 ? '\nAll checks passed.\n' : `\nFailed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
