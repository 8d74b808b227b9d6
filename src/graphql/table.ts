import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
import { Arg, Ctx, Field, FieldResolver, Int, ObjectType, Query, Resolver, Root } from 'type-graphql';
import type { Bloat as BloatView, IndexFigures } from '../domain/finding.ts';
import type { Growth as GrowthView } from '../domain/growth.ts';
import { Bloat } from './bloat.ts';
import { connectionType } from './connection.ts';
import type { ApiContext } from './context.ts';
import { Finding } from './finding.ts';
import { Growth } from './growth.ts';
import type { DatabaseView, FindingView, TableSampleView, TableView } from './views.ts';

@ObjectType({ description: 'The figures of a table at one time.' })
export class TableSample {
  @Field(() => GraphQLDateTime, { description: 'When they were taken.' })
  takenAt!: Date;

  @Field(() => GraphQLSafeInt, { description: 'Heap, TOAST and indexes together.' })
  totalBytes!: number;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'What a rewrite would have given back; null: unknown.',
  })
  wastedBytes!: number | null;

  @Field(() => GraphQLSafeInt, { description: 'Dead rows, by the statistics.' })
  deadRows!: number;
}

@ObjectType({ description: 'An index of a table.' })
export class Index {
  @Field(() => String, { description: 'Its name.' })
  name!: string;

  @Field(() => String, { description: 'The statement that makes it.' })
  definition!: string;

  @Field(() => GraphQLSafeInt, { description: 'Its size.' })
  sizeBytes!: number;

  @Field(() => GraphQLSafeInt, {
    description: 'How often it was used since the counters were reset, replicas included.',
  })
  scans!: number;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was last used (PostgreSQL 16 and newer).',
  })
  lastScanAt!: Date | null;

  @Field(() => Boolean, { description: 'Whether it keeps its key unique.' })
  isUnique!: boolean;

  @Field(() => Boolean, { description: 'Whether it is the primary key.' })
  isPrimary!: boolean;

  @Field(() => Boolean, { description: 'Whether it can be used; false after a failed concurrent build.' })
  isValid!: boolean;
}

@ObjectType({ description: 'A table and its figures.' })
export class Table {
  @Field(() => String, { description: 'Its schema.' })
  schema!: string;

  @Field(() => String, { description: 'Its name.' })
  name!: string;

  @Field(() => GraphQLSafeInt, { description: 'Live rows: an estimate, from statistics.' })
  liveRows!: number;

  @Field(() => GraphQLSafeInt, { description: 'Dead rows that VACUUM has not yet removed: an estimate.' })
  deadRows!: number;

  @Field(() => GraphQLSafeInt, { description: 'Heap, TOAST and indexes together.' })
  totalBytes!: number;

  @Field(() => GraphQLSafeInt, { description: 'The main part.' })
  heapBytes!: number;

  @Field(() => GraphQLSafeInt, { description: 'Large values that are kept apart.' })
  toastBytes!: number;

  @Field(() => GraphQLSafeInt, { description: 'All indexes.' })
  indexBytes!: number;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was last vacuumed, by hand or by itself.',
  })
  lastVacuumAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When its statistics were last taken.' })
  lastAnalyzeAt!: Date | null;
}

export const TableConnection = connectionType('Table', () => Table);

/** What the nested fields need to know beside the figures. */
export type TableNode = TableView & { readonly database: Pick<DatabaseView, 'id' | 'name'> };
type IndexNode = IndexFigures & { readonly of: TableNode };

const exactArg = {
  defaultValue: false,
  description: 'Measure by reading it, within a budget, instead of estimating: OPERATOR.',
};

@Resolver(() => Table)
export class TableResolver {
  @Query(() => Table, { nullable: true, description: 'One table, asked of the database now.' })
  async table(
    @Arg('database', () => String, { description: 'The name of the database.' }) databaseName: string,
    @Arg('schema', () => String, { defaultValue: 'public', description: 'The schema.' }) schema: string,
    @Arg('name', () => String, { description: 'The table.' }) name: string,
    @Ctx() { useCases }: ApiContext,
  ): Promise<TableNode | null> {
    const database = await useCases.databases.find(databaseName);
    const table = database && (await useCases.analysis.table(databaseName, schema, name));
    return table && { ...table, database };
  }

  @FieldResolver(() => Bloat, { description: 'Waste in heap and TOAST together.' })
  bloat(
    @Root() { database, schema, name, bloat }: TableNode,
    @Arg('exact', () => Boolean, exactArg) exact: boolean,
    @Ctx() { useCases }: ApiContext,
  ): BloatView | Promise<BloatView> {
    return exact ? useCases.analysis.tableBloat(database.name, schema, name, true) : bloat;
  }

  @FieldResolver(() => [Index], { description: 'Its indexes.' })
  indexes(@Root() table: TableNode): IndexNode[] {
    return table.indexes.map((index) => ({ ...index, of: table }));
  }

  @FieldResolver(() => [Finding], { description: 'What the last analysis found about it.' })
  findings(
    @Root() { database, schema, name }: TableNode,
    @Ctx() { useCases }: ApiContext,
  ): Promise<readonly FindingView[]> {
    return useCases.analysis.tableFindings(database.id, schema, name);
  }

  @FieldResolver(() => [TableSample], { description: 'Its figures in earlier snapshots, newest first.' })
  history(
    @Root() { database, schema, name }: TableNode,
    @Arg('first', () => Int, { nullable: true, description: 'How many, from 1 to 100; 20 when not given.' })
    first: number | null,
    @Ctx() { useCases }: ApiContext,
  ): Promise<readonly TableSampleView[]> {
    return useCases.analysis.history(database.id, schema, name, first);
  }

  @FieldResolver(() => Growth, {
    nullable: true,
    description: 'How its size changes; null with too little history.',
  })
  growth(
    @Root() { database, schema, name }: TableNode,
    @Ctx() { useCases }: ApiContext,
  ): Promise<GrowthView | null> {
    return useCases.analysis.tableGrowth(database.id, schema, name);
  }
}

@Resolver(() => Index)
export class IndexResolver {
  @FieldResolver(() => Bloat, { description: 'Waste in the index.' })
  bloat(
    @Root() { of, name, bloat }: IndexNode,
    @Arg('exact', () => Boolean, exactArg) exact: boolean,
    @Ctx() { useCases }: ApiContext,
  ): BloatView | Promise<BloatView> {
    return exact ? useCases.analysis.indexBloat(of.database.name, of.schema, name, true) : bloat;
  }
}
