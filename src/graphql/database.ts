import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
import {
  Arg,
  Args,
  ArgsType,
  Ctx,
  Field,
  FieldResolver,
  ID,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type { Growth as GrowthView } from '../domain/growth.ts';
import { Environment, FindingKind, TableOrder } from '../domain/words.ts';
import { type Connection, connection, connectionType, PageArgs, plainConnection } from './connection.ts';
import type { ApiContext } from './context.ts';
import { RegisterDatabaseInput, UpdateDatabaseInput } from './database-inputs.ts';
import { FindingArgs, FindingConnection } from './finding.ts';
import { Growth } from './growth.ts';
import { TableConnection, type TableNode } from './table.ts';
import type { DatabaseCheck as CheckView, DatabaseView, FindingView, SnapshotView } from './views.ts';

@ObjectType({ description: 'What an analysis could not judge, so that no finding does not mean no fault.' })
export class NotJudged {
  @Field(() => FindingKind, { description: 'What was asked.' })
  kind!: FindingKind;

  @Field(() => String, { description: 'Why there is no answer, with the right that would help.' })
  reason!: string;

  @Field(() => Int, { description: 'How many tables and indexes it concerns; 0: all of the database.' })
  subjects!: number;

  @Field(() => String, { nullable: true, description: 'One of them.' })
  example!: string | null;
}

@ObjectType({ description: 'The figures of a whole database at one time, kept as history.' })
export class Snapshot {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;

  @Field(() => GraphQLDateTime, { description: 'When it was taken.' })
  takenAt!: Date;

  @Field(() => GraphQLSafeInt, { description: 'The size of the database.' })
  sizeBytes!: number;

  @Field(() => GraphQLSafeInt, { description: 'Waste, as far as it is known.' })
  wastedBytes!: number;

  @Field(() => GraphQLSafeInt, { description: 'Dead rows in all tables: an estimate.' })
  deadRows!: number;

  @Field(() => Boolean, { description: 'Whether the figures were confirmed by reading.' })
  exact!: boolean;

  @Field(() => Int, { description: 'How long it took.' })
  durationMs!: number;

  @Field(() => [NotJudged], { description: 'What could not be judged, and why.' })
  notJudged!: readonly NotJudged[];
}

export const SnapshotConnection = connectionType('Snapshot', () => Snapshot);

@ObjectType({ description: 'One thing that was looked at.' })
export class CheckItem {
  @Field(() => String, { description: 'A stable word.' })
  code!: string;

  @Field(() => Boolean, { description: 'Whether it is as it should be.' })
  ok!: boolean;

  @Field(() => String, { description: 'What was found, and what to do if it is not as it should be.' })
  detail!: string;
}

@ObjectType({ description: 'Whether a database can be worked with.' })
export class DatabaseCheck {
  @Field(() => Boolean, { description: 'Whether everything needed is there.' })
  ok!: boolean;

  @Field(() => [CheckItem], { description: 'What was looked at.' })
  items!: readonly CheckItem[];
}

@ObjectType({ description: 'A PostgreSQL database under care, with the figures of its last snapshot.' })
export class Database {
  @Field(() => String, { description: 'The name it has here.' })
  name!: string;

  @Field(() => Environment, { description: 'What it is for.' })
  environment!: Environment;

  @Field(() => String, { nullable: true, description: 'The version of its server.' })
  serverVersion!: string | null;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Its size.' })
  sizeBytes!: number | null;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Waste, as far as it is known.' })
  wastedBytes!: number | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When the figures were taken; null when the database has not answered yet.',
  })
  snapshotAt!: Date | null;

  @Field(() => String, { nullable: true, description: 'Why it does not answer; null when it does.' })
  unreachable!: string | null;
}

@ArgsType()
class TablesArgs extends PageArgs {
  @Field(() => String, { nullable: true, description: 'Only of this schema.' })
  schema?: string | null;

  @Field(() => TableOrder, { defaultValue: TableOrder.WASTED_BYTES, description: 'The order of the list.' })
  orderBy!: TableOrder;
}

const nameArg = { description: 'The name of the database.' };

@Resolver(() => Database)
export class DatabaseResolver {
  @Query(() => [Database], { description: 'All databases under care.' })
  databases(@Ctx() { useCases }: ApiContext): Promise<DatabaseView[]> {
    return useCases.databases.list();
  }

  @Query(() => Database, { nullable: true, description: 'One database by its name.' })
  database(
    @Arg('name', () => String, nameArg) name: string,
    @Ctx() { useCases }: ApiContext,
  ): Promise<DatabaseView | null> {
    return useCases.databases.find(name);
  }

  @FieldResolver(() => TableConnection, { description: 'Its tables, from the last snapshot.' })
  async tables(
    @Root() { id, name }: DatabaseView,
    @Args(() => TablesArgs) query: TablesArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<TableNode>> {
    const database = { id, name };
    return connection(await useCases.analysis.tables(id, query), (table) => ({ ...table, database }));
  }

  @FieldResolver(() => FindingConnection, { description: 'What the last analysis found, worst first.' })
  async findings(
    @Root() { id }: DatabaseView,
    @Args(() => FindingArgs) query: FindingArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<FindingView>> {
    return plainConnection(await useCases.analysis.findings({ ...query, databaseId: id }));
  }

  @FieldResolver(() => SnapshotConnection, { description: 'Its snapshots, newest first.' })
  async snapshots(
    @Root() { id }: DatabaseView,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<SnapshotView>> {
    return plainConnection(await useCases.analysis.snapshots(id, page));
  }

  @FieldResolver(() => Growth, {
    nullable: true,
    description: 'How its size changes; null with too little history.',
  })
  growth(@Root() { id }: DatabaseView, @Ctx() { useCases }: ApiContext): Promise<GrowthView | null> {
    return useCases.analysis.growth(id);
  }

  @Mutation(() => Database, { description: 'Takes a database under care and makes a first snapshot of it.' })
  registerDatabase(
    @Arg('input', () => RegisterDatabaseInput, { description: 'Where it is and how to log in.' })
    input: RegisterDatabaseInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<DatabaseView> {
    return useCases.databases.register(input, principal);
  }

  @Mutation(() => Database, {
    description: 'Rotates a password, moves a host; the system identifier must stay the same.',
  })
  updateDatabase(
    @Arg('name', () => String, nameArg) name: string,
    @Arg('input', () => UpdateDatabaseInput, { description: 'What to change.' }) input: UpdateDatabaseInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<DatabaseView> {
    return useCases.databases.update(name, input, principal);
  }

  @Mutation(() => Boolean, { description: 'Forgets a database; refused while it has runs or archives.' })
  removeDatabase(
    @Arg('name', () => String, nameArg) name: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<boolean> {
    return useCases.databases.remove(name, principal);
  }

  @Mutation(() => DatabaseCheck, {
    description:
      'Connects and reports version, extensions, rights, pooler, replicas and what is missing for each capability.',
  })
  checkDatabase(
    @Arg('name', () => String, nameArg) name: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<CheckView> {
    return useCases.databases.check(name, principal);
  }

  @Mutation(() => Snapshot, { description: 'Takes a snapshot of the whole database now, kept as history.' })
  analyzeDatabase(
    @Arg('name', () => String, nameArg) name: string,
    @Arg('exact', () => Boolean, {
      defaultValue: false,
      description: 'Confirm by reading (pgstattuple), within the budget.',
    })
    exact: boolean,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<SnapshotView> {
    return useCases.analysis.analyze(name, exact, principal);
  }
}
