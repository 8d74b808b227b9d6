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
import type { PlanNotice as Notice } from '../domain/plan.ts';
import { ArchiveFormat, ArchiveKind, ArchiveState } from '../domain/words.ts';
import { type Connection, connectionType, PageArgs, plainConnection } from './connection.ts';
import type { ApiContext } from './context.ts';
import { idOf, isId } from './ids.ts';
import { PlanNotice } from './plan-parts.ts';
import type {
  ArchiveSegmentView,
  ArchiveTableView,
  ArchiveVerification as Verification,
  ArchiveView,
} from './views.ts';

@ObjectType({ description: 'What an archive holds of one table.' })
export class ArchiveTable {
  @Field(() => String, { description: 'Its schema.' })
  schema!: string;

  @Field(() => String, { description: 'Its name.' })
  table!: string;

  @Field(() => GraphQLSafeInt, { description: 'How many of its rows.' })
  rows!: number;

  @Field(() => GraphQLSafeInt, { description: 'Their size in the archive.' })
  bytes!: number;
}

@ObjectType({ description: 'One file, or one batch of rows, of an archive.' })
export class ArchiveSegment {
  @Field(() => Int, { description: 'Its place in the archive.' })
  sequence!: number;

  @Field(() => String, { description: 'Where it is.' })
  location!: string;

  @Field(() => GraphQLSafeInt, { description: 'Its rows.' })
  rows!: number;

  @Field(() => GraphQLSafeInt, { description: 'Its size.' })
  bytes!: number;

  @Field(() => String, { description: 'The SHA-256 of its bytes.' })
  sha256!: string;
}

export const ArchiveSegmentConnection = connectionType('ArchiveSegment', () => ArchiveSegment);

@ObjectType({ description: 'The segments of one run, as listed by the ledger of its database.' })
export class Archive {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;

  @Field(() => String, { description: 'The schema that the rows came from.' })
  schema!: string;

  @Field(() => String, { description: 'The table that the rows came from.' })
  table!: string;

  @Field(() => ArchiveKind, { description: 'Where the rows are.' })
  kind!: ArchiveKind;

  @Field(() => ArchiveFormat, { nullable: true, description: 'How they are written; null for a table.' })
  format!: ArchiveFormat | null;

  @Field(() => GraphQLSafeInt, { description: 'How many rows.' })
  rows!: number;

  @Field(() => GraphQLSafeInt, { description: 'Their size in the archive.' })
  bytes!: number;

  @Field(() => GraphQLDateTime, { description: 'When it was made.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was last read back and found whole.',
  })
  verifiedAt!: Date | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'When it was last read back, whatever came of it: by verifyArchive, or by a worker on schedule.',
  })
  checkedAt!: Date | null;

  @Field(() => [PlanNotice], { description: 'What was missing or damaged then.' })
  problems!: readonly Notice[];

  @Field(() => ArchiveState, { description: 'Whether it is kept, or destroyed by the run of an expiry.' })
  state!: ArchiveState;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When the last of it was destroyed.' })
  expiredAt!: Date | null;
}

export const ArchiveConnection = connectionType('Archive', () => Archive);

@ObjectType({ description: 'What reading an archive back has shown.' })
export class ArchiveVerification {
  @Field(() => Boolean, { description: 'Whether everything is there and whole.' })
  ok!: boolean;

  @Field(() => Int, { description: 'Segments that were read.' })
  segmentsChecked!: number;

  @Field(() => GraphQLSafeInt, { description: 'Rows that were read.' })
  rowsChecked!: number;

  @Field(() => [PlanNotice], { description: 'What is missing or damaged.' })
  problems!: readonly Notice[];
}

@ArgsType()
class ArchivesArgs extends PageArgs {
  @Field(() => String, { nullable: true, description: 'Only of this database.' })
  database?: string | null;
}

const idArg = { description: 'The archive.' };

@Resolver(() => Archive)
export class ArchiveResolver {
  @Query(() => Archive, { nullable: true, description: 'One archive.' })
  archive(
    @Arg('id', () => ID, idArg) id: string,
    @Ctx() { useCases }: ApiContext,
  ): Promise<ArchiveView | null> | null {
    return isId(id) ? useCases.archives.find(id) : null;
  }

  @Query(() => ArchiveConnection, { description: 'Archives, newest first.' })
  async archives(
    @Args(() => ArchivesArgs) query: ArchivesArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<ArchiveView>> {
    return plainConnection(await useCases.archives.list(query));
  }

  @FieldResolver(() => String, { description: 'The name of the database that the rows came from.' })
  database(@Root() { databaseName }: ArchiveView): string {
    return databaseName;
  }

  @FieldResolver(() => [ArchiveTable], {
    description: 'The tables whose rows it holds: its own, and those whose rows went along.',
  })
  tables(@Root() { id }: ArchiveView, @Ctx() { useCases }: ApiContext): Promise<readonly ArchiveTableView[]> {
    return useCases.archives.tables(id);
  }

  @FieldResolver(() => ArchiveSegmentConnection, { description: 'Its segments, in order.' })
  async segments(
    @Root() { id }: ArchiveView,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<ArchiveSegmentView>> {
    return plainConnection(await useCases.archives.segments(id, page));
  }

  @Mutation(() => ArchiveVerification, {
    description: 'Reads every segment back: checksums, counts, readability.',
  })
  verifyArchive(
    @Arg('id', () => ID, idArg) id: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<Verification> {
    return useCases.archives.verify(idOf('The archive', id), principal);
  }
}
