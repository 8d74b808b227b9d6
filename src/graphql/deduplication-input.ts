import { Field, InputType } from 'type-graphql';
import { DuplicateReferences, KeepOrder } from '../domain/words.ts';
import { DuplicateKeyInput } from './duplicates.ts';
import type * as inputs from '../domain/plan-inputs.ts';
import { ArchiveDestinationInput, LimitsInput, PlanTableInput, RowFilterInput } from './plan-inputs.ts';
import { ThrottleInput } from './throttle-input.ts';

@InputType({ description: 'Which of the rows with the same key stays; ties are decided by the primary key.' })
export class KeepRuleInput implements inputs.KeepRuleInput {
  @Field(() => String, { description: 'The column that decides.' })
  by!: string;

  @Field(() => KeepOrder, { description: 'The row with the lowest or the highest value stays.' })
  order!: KeepOrder;
}

@InputType({ description: 'Rows of which each key should be there once.' })
export class PlanDeduplicationInput extends PlanTableInput implements inputs.PlanDeduplicationInput {
  @Field(() => [DuplicateKeyInput], {
    description: 'The columns that together should be unique. A NULL equals nothing.',
  })
  key!: DuplicateKeyInput[];

  @Field(() => KeepRuleInput, { description: 'Which row of each key stays.' })
  keep!: KeepRuleInput;

  @Field(() => DuplicateReferences, {
    defaultValue: DuplicateReferences.REPOINT,
    description: 'What happens to rows that reference a duplicate: REPOINT them to the keeper, or REFUSE.',
  })
  references!: DuplicateReferences;

  @Field(() => RowFilterInput, {
    nullable: true,
    description: 'Only among these rows: others neither go nor stay for one that goes.',
  })
  where?: RowFilterInput | null;

  @Field(() => ArchiveDestinationInput, {
    nullable: true,
    description:
      'Where the removed rows (and what they pointed to) are kept for undo; without it the store named local.',
  })
  destination?: ArchiveDestinationInput | null;

  @Field(() => LimitsInput, { nullable: true, description: 'Bounds that the run may not pass.' })
  limits?: LimitsInput | null;

  @Field(() => ThrottleInput, { nullable: true, description: 'How the run makes room for everybody else.' })
  throttle?: ThrottleInput | null;
}
