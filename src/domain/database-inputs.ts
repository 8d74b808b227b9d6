import type { Environment, TlsMode } from './words.ts';

type Maybe<T> = T | null | undefined;

/** A read-only copy of a database: its usage counts too. */
export interface Replica {
  readonly host: string;
  readonly port: number;
}

export interface RegisterDatabaseInput {
  name: string;
  host: string;
  port: number;
  database: string;
  user: string;
  passwordRef?: Maybe<string>;
  password?: Maybe<string>;
  tls: TlsMode;
  caRef?: Maybe<string>;
  environment: Environment;
  replicas?: Maybe<Replica[]>;
  allowSuperuser: boolean;
}

export interface UpdateDatabaseInput {
  host?: Maybe<string>;
  port?: Maybe<number>;
  user?: Maybe<string>;
  passwordRef?: Maybe<string>;
  password?: Maybe<string>;
  tls?: Maybe<TlsMode>;
  caRef?: Maybe<string>;
  environment?: Maybe<Environment>;
  replicas?: Maybe<Replica[]>;
}
