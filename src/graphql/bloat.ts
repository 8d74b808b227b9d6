import { GraphQLSafeInt } from 'graphql-scalars';
import { Field, Float, Int, ObjectType } from 'type-graphql';
import { BloatMethod, BloatVerdict } from '../domain/words.ts';

@ObjectType({ description: 'Something that makes waste or keeps it from being cleaned up.' })
export class BloatCause {
  @Field(() => String, { description: 'A stable word.' })
  code!: string;

  @Field(() => String, { description: 'The cause in a sentence.' })
  detail!: string;

  @Field(() => Int, { nullable: true, description: 'The backend that is to blame.' })
  pid!: number | null;
}

@ObjectType({
  description:
    'A number is never given without where it comes from. UNKNOWN is an answer; a false green is a defect.',
})
export class Bloat {
  @Field(() => BloatVerdict, { description: 'What is to be done.' })
  verdict!: BloatVerdict;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'What a rewrite would give back; null when UNKNOWN.',
  })
  wastedBytes!: number | null;

  @Field(() => Float, { nullable: true, description: 'wastedBytes / size, 0..1; null when UNKNOWN.' })
  ratio!: number | null;

  @Field(() => BloatMethod, { description: 'How the figure was come by.' })
  method!: BloatMethod;

  @Field(() => [BloatCause], { description: 'What makes the waste, where it is known.' })
  causes!: readonly BloatCause[];

  @Field(() => String, { description: 'What to do next.' })
  advice!: string;
}
