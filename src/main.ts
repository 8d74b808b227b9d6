#!/usr/bin/env -S node --max-semi-space-size=8 --heap-growing-percent=100
// V8 would rather let its heap grow to twice what is needed than collect garbage twice as often.
// Nothing is imported before the version of Node.js is known: an older one fails at the first new word, in no plain sentence.
const OLDEST = 24;

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST) {
  process.stderr.write(
    `Declutter needs Node.js ${OLDEST} or newer, and this is ${process.versions.node}. ` +
      'The project brings its own: use "npm start" or "npm run declutter -- <command>", or node_modules/.bin/node.\n',
  );
  process.exitCode = 1;
} else {
  const { runCommandLine } = await import('./command-line.ts');
  await runCommandLine(process.argv);
}
