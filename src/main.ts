#!/usr/bin/env node
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
