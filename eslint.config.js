import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const BARE_ERROR = {
  selector: 'ThrowStatement > NewExpression[callee.name="Error"]',
  message:
    'A caller can meet this: throw a DeclutterError with a code (src/errors.ts), or a TypeError for a mistake of ours.',
};
const ENVIRONMENT = {
  selector: 'MemberExpression[object.name="process"][property.name="env"]',
  message: 'Everything is configured in one place that reports all problems at once: src/config.ts.',
};
const WALL_CLOCK = [
  {
    selector: 'CallExpression[callee.object.name="Date"][callee.property.name="now"]',
    message: 'Time comes in as an argument (src/clock.ts), so that tests need not wait.',
  },
  {
    selector: 'CallExpression[callee.name=/^set(Timeout|Interval)$/]',
    message: 'Rest comes in as an argument (src/clock.ts), so that tests need not wait.',
  },
];
const DEFAULT_EXPORT = {
  selector: 'ExportDefaultDeclaration',
  message: 'A named export has one name everywhere, and can be renamed safely.',
};

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', 'src/store/client/', 'src/cli/client/generated/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // Numbers in messages are what messages are for.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // A word that is added to a closed set must be thought of everywhere, unless a default says what the rest gets.
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // An underscore says that a parameter is there for its place only; taking a field out is how the rest is named.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // What is imported only as a type costs nothing at start, and does not count as a dependency.
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      // TypeGraphQL's classes hold nothing but decorated fields.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      // () => emitter.off(...) and return resolve() are clearer than the same with more braces.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // It does not see that a signal can abort during an await, and would have us drop the check that matters.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // TypeGraphQL's classes describe shapes; resolvers answer with plain objects of these shapes.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // Our parts are closures: their methods have no this to lose.
      '@typescript-eslint/unbound-method': 'off',
      // void says that a result is dropped on purpose, also where there is none.
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      // async without await makes a function keep its contract (always a promise, never a throw).
      '@typescript-eslint/require-await': 'off',
      // A generic that a caller names is how rows get their type (session.query<Row>).
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      // A function is read in one look, a file in one sitting.
      'max-lines-per-function': ['error', { max: 60, skipComments: true }],
      'max-lines': ['error', 300],
      // A switch over a closed set counts once: it reads like a table.
      complexity: ['error', { max: 12, variant: 'modified' }],
      // The log is structured and redacted; only the command line prints.
      'no-console': 'error',
      'no-restricted-syntax': ['error', BARE_ERROR, ENVIRONMENT, DEFAULT_EXPORT],
    },
  },
  {
    files: ['src/{analysis,archive,engine,operations,planning,schedule}/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', BARE_ERROR, ENVIRONMENT, DEFAULT_EXPORT, ...WALL_CLOCK] },
  },
  {
    files: ['src/graphql/**/*.ts'],
    // A copy of a shape is that shape.
    rules: { '@typescript-eslint/no-misused-spread': 'off' },
  },
  {
    files: ['assets/**/*.js'],
    languageOptions: { globals: { URL: 'readonly' } },
  },
  {
    files: ['src/config.ts'],
    rules: {
      'no-restricted-syntax': ['error', BARE_ERROR, DEFAULT_EXPORT],
      // The one way to take a variable out of the environment.
      '@typescript-eslint/no-dynamic-delete': 'off',
    },
  },
  {
    files: ['src/{cli,demo}/**/*.ts', 'src/main.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Rows of a test's own queries have any shape; what matters is asserted.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
);
