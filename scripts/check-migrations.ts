import { withServer } from './with-server.ts';
import { pendingSql } from './schema-engine.ts';

/** Fails when schema.prisma says something that the migrations do not make, or the reverse. */
const missing = await withServer(pendingSql);
if (missing !== '') {
  process.stderr.write(
    `prisma/schema.prisma and prisma/migrations differ; run "npm run migrations:new -- <name>". Missing:\n\n${missing}`,
  );
  process.exitCode = 1;
}
