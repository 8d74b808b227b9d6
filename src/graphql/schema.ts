import 'reflect-metadata';
import './enums.ts';
import { createPubSub } from '@graphql-yoga/subscription';
import type { GraphQLSchema } from 'graphql';
import { buildSchemaSync } from 'type-graphql';
import { ArchiveResolver } from './archive.ts';
import { AuditResolver } from './audit.ts';
import { DatabaseResolver } from './database.ts';
import { DuplicatesResolver } from './duplicates.ts';
import { FindingResolver } from './finding.ts';
import { GrowthResolver } from './growth.ts';
import { PlanResolver } from './plan.ts';
import { PlanningResolver } from './planning.ts';
import { PolicyResolver, PolicyResultResolver } from './policy.ts';
import { ProtectionResolver } from './protection.ts';
import { QueryTimesResolver } from './query-times.ts';
import { PlanRunResolver, RunResolver, RunResultResolver } from './run.ts';
import { RunningResolver } from './running.ts';
import { IndexResolver, TableResolver } from './table.ts';
import { ViewerResolver } from './viewer.ts';

/** The schema as it is published. It guards nothing yet: see guard-schema.ts. */
export function buildApiSchema(): GraphQLSchema {
  return buildSchemaSync({
    resolvers: [
      ViewerResolver,
      DatabaseResolver,
      TableResolver,
      DuplicatesResolver,
      IndexResolver,
      GrowthResolver,
      FindingResolver,
      PlanResolver,
      PlanningResolver,
      RunResolver,
      RunResultResolver,
      PlanRunResolver,
      QueryTimesResolver,
      RunningResolver,
      ArchiveResolver,
      PolicyResolver,
      PolicyResultResolver,
      ProtectionResolver,
      AuditResolver,
    ],
    orphanedTypes: [],
    validate: false, // shapes are checked by GraphQL, meaning by the use-cases
    pubSub: createPubSub(), // asked for by TypeGraphQL, though our one subscription opens its own stream
  });
}
