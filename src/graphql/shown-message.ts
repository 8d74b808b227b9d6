import { GraphQLError } from 'graphql';

/** What GraphQL says of a variable has the whole value in it, which may be a secret in the wrong place, with any text: its cause says the rest. */
export function shownMessage(thrown: unknown, message: string): string {
  const cause = thrown instanceof GraphQLError ? thrown.originalError : undefined;
  const [, variable] = /^(Variable "\$\w+") got invalid value /.exec(message) ?? [];
  const tail = `; ${cause?.message ?? ''}`;
  if (variable === undefined || cause === undefined || !message.endsWith(tail)) return withoutValues(message);
  const [place = ''] = / at "[^"]*"$/.exec(message.slice(0, -tail.length)) ?? [];
  return `${variable} has a value that does not fit${place}: ${withoutValues(cause.message)}`;
}

/** GraphQL repeats values here too, and offers names that are near. */
function withoutValues(message: string): string {
  return message
    .replace(/ got invalid value [\s\S]*$/, ' has a value that does not fit.')
    .replace(/(cannot represent [\w\s-]*value): [\s\S]*$/, '$1.')
    .replace(/(cannot represent (?:an invalid [\w-]+|non string or Date type)) [\s\S]*$/, '$1.')
    .replace(/(Value is not [\w\s-]*): [\s\S]*$/, '$1.')
    .replace(/Value "[\s\S]*" does not exist/, 'The value does not exist')
    .replace(/(Expected (?:value of )?type "[^"]*"),? (?:found|but)[\s\S]*$/, '$1.')
    .replace(/ Did you mean [\s\S]*\?$/, '');
}
