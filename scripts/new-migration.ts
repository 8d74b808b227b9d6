import { mkdir, writeFile } from 'node:fs/promises';
import { MIGRATIONS, pendingSql } from './schema-engine.ts';
import { withServer } from './with-server.ts';

/** npm run migrations:new -- <name>: writes what leads from the migrations to schema.prisma. Read it before you commit it. */
const name = process.argv[2] ?? '';
if (!/^[a-z][a-z0-9_]{2,60}$/.test(name)) {
  process.stderr.write(
    'Give the migration a name of a-z, 0-9 and _: npm run migrations:new -- add_policies\n',
  );
  process.exit(64);
}
const script = await withServer(pendingSql);
if (script === '') {
  process.stderr.write('prisma/schema.prisma and the migrations agree; nothing to write.\n');
} else {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const folder = new URL(`${stamp}_${name}/`, MIGRATIONS);
  await mkdir(folder);
  await writeFile(new URL('migration.sql', folder), script);
  process.stdout.write(`prisma/migrations/${stamp}_${name}/migration.sql\n`);
}
