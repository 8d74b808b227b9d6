import { writeFileSync } from 'node:fs';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { buildApiSchema } from '../src/graphql/schema.ts';

/** Writes schema.graphql, which is committed; CI fails when it is out of date. */
writeFileSync(
  new URL('../schema.graphql', import.meta.url),
  `${printSchema(lexicographicSortSchema(buildApiSchema()))}\n`,
);
