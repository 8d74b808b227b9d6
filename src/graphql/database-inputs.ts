import { Extensions, Field, InputType, Int } from 'type-graphql';
import { Environment, TlsMode } from '../domain/words.ts';
import type {
  RegisterDatabaseInput as RegisterDatabase,
  UpdateDatabaseInput as UpdateDatabase,
} from '../domain/database-inputs.ts';

/** Values of fields marked so never reach a log or the audit chain. */
const Sensitive = () => Extensions({ sensitive: true });

/** Of fields marked so only what is a reference does: somebody may have put the secret itself there. */
const Reference = () => Extensions({ reference: true });

@InputType({ description: 'A read-only copy of a database.' })
export class ReplicaInput {
  @Field(() => String, { description: 'Its host.' })
  host!: string;

  @Field(() => Int, { defaultValue: 5432, description: 'Its port.' })
  port!: number;
}

const PASSWORD_REF =
  'A reference such as env:DECLUTTER_TARGET_SHOP_PASSWORD or file:/run/secrets/shop; preferred to password.';
const PASSWORD = 'Stored encrypted, write-only.';
const CA_REF = "A reference to the certificate authority's file.";
const REPLICAS = 'Read-only copies: their index and table usage counts too.';

@InputType({ description: 'A database to take care of.' })
export class RegisterDatabaseInput implements RegisterDatabase {
  @Field(() => String, { description: 'The name it shall have here.' })
  name!: string;

  @Field(() => String, { description: 'Its host; it must be on the allow-list DECLUTTER_TARGET_HOSTS.' })
  host!: string;

  @Field(() => Int, { defaultValue: 5432, description: 'Its port.' })
  port!: number;

  @Field(() => String, { description: 'The name of the database on its server.' })
  database!: string;

  @Field(() => String, { description: 'The role to log in as.' })
  user!: string;

  @Reference()
  @Field(() => String, { nullable: true, description: PASSWORD_REF })
  passwordRef?: string | null;

  @Sensitive()
  @Field(() => String, { nullable: true, description: PASSWORD })
  password?: string | null;

  @Field(() => TlsMode, {
    defaultValue: TlsMode.VERIFY_FULL,
    description: 'How the connection is encrypted.',
  })
  tls!: TlsMode;

  @Reference()
  @Field(() => String, { nullable: true, description: CA_REF })
  caRef?: string | null;

  @Field(() => Environment, {
    defaultValue: Environment.PRODUCTION,
    description: 'What the database is for.',
  })
  environment!: Environment;

  @Field(() => [ReplicaInput], { nullable: true, description: REPLICAS })
  replicas?: ReplicaInput[] | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description:
      'A role with more rights than it needs is refused unless this is true (docs/least-privilege.md).',
  })
  allowSuperuser!: boolean;
}

@InputType({ description: 'What to change; the system identifier of the server must stay the same.' })
export class UpdateDatabaseInput implements UpdateDatabase {
  @Field(() => String, { nullable: true, description: 'The new host.' })
  host?: string | null;

  @Field(() => Int, { nullable: true, description: 'The new port.' })
  port?: number | null;

  @Field(() => String, { nullable: true, description: 'The new role to log in as.' })
  user?: string | null;

  @Reference()
  @Field(() => String, { nullable: true, description: PASSWORD_REF })
  passwordRef?: string | null;

  @Sensitive()
  @Field(() => String, { nullable: true, description: PASSWORD })
  password?: string | null;

  @Field(() => TlsMode, { nullable: true, description: 'How the connection is encrypted.' })
  tls?: TlsMode | null;

  @Reference()
  @Field(() => String, { nullable: true, description: CA_REF })
  caRef?: string | null;

  @Field(() => Environment, { nullable: true, description: 'What the database is for.' })
  environment?: Environment | null;

  @Field(() => [ReplicaInput], { nullable: true, description: REPLICAS })
  replicas?: ReplicaInput[] | null;
}
