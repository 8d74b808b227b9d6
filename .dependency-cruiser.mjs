// Who may import whom. Each rule has the reason in its comment; ARCHITECTURE.md has the picture.

const PARTS = 'analysis|archive|databases|engine|planning|schedule';
const GROUND = '^src/(domain/|errors\\.ts$|clock\\.ts$|log\\.ts$|release\\.ts$|failpoint\\.ts$)';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-circles',
      comment: 'Two files that need each other are one thought in two places.',
      severity: 'error',
      from: { pathNot: '^src/store/client/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'only-what-is-there',
      comment: 'An import that does not resolve fails at start, in front of a user.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'only-listed-packages',
      comment: 'What the product imports is among its dependencies, or the packed product does not start.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'product-without-tests',
      comment: 'The product stands without its tests, benchmarks and scripts.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'nobody-imports-main',
      comment:
        'main starts processes and sets exit codes; whoever needs a part of it needs that part in a file of its own.',
      severity: 'error',
      from: {},
      to: { path: '^src/main\\.ts$' },
    },
    {
      name: 'composed-once',
      comment:
        'compose is the only place where parts are put together: the graph of the parts can be read there.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/((main|command-line|compose)\\.ts$|compose/)' },
      to: { path: '^src/compose(\\.ts$|/)' },
    },
    {
      name: 'domain-does-no-io',
      comment:
        'The words and rules of the domain need nothing but each other, so that they can be tested and trusted alone.',
      severity: 'error',
      from: { path: '^src/domain/' },
      to: { pathNot: ['^src/domain/', '^src/errors\\.ts$', '^(node:)?crypto$'] },
    },
    {
      name: 'doors-know-the-domain-only',
      comment:
        'target, store and security are doors to the outside; they know the domain, and never one another.',
      severity: 'error',
      from: { path: '^src/(target|store|security)/' },
      to: { path: '^src/', pathNot: ['^src/$1/', GROUND] },
    },
    {
      name: 'two-doors-to-postgresql',
      comment: 'A connection that target or store did not open has none of their time-outs and checks.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(target|store)/' },
      to: { path: '^(node_modules/)?(@types/)?(pg|pg-copy-streams|pg-cursor)(/|$)' },
    },
    {
      name: 'one-door-to-prisma',
      comment: "Prisma's types (BigInt, Json) end at the store's edge.",
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/store/' },
      to: { path: ['^src/store/client/', '^(node_modules/)?(@prisma/|prisma(/|$))'] },
    },
    {
      name: 'a-kind-is-a-leaf',
      comment:
        'A kind (of analysis, operation, throttle) can be read whole and deleted whole: it never imports another kind.',
      severity: 'error',
      from: { path: '^src/(analysis/kinds|operations/kinds|engine/throttles)/([^/]+)\\.ts$' },
      to: { path: '^src/(analysis/kinds|operations/kinds|engine/throttles)/' },
    },
    {
      name: 'a-kind-knows-its-contract',
      comment:
        'A kind knows its contract, the helpers beside it, the target and the domain; what else it needs is handed to it.',
      severity: 'error',
      from: { path: '^src/(analysis|operations|engine)/(kinds|throttles)/' },
      to: { path: '^src/', pathNot: ['^src/$1/[^/]+\\.ts$', '^src/target/', '^src/archive/', GROUND] },
    },
    {
      name: 'kinds-come-by-registry',
      comment:
        'A kind is reached by the registry that compose hands in, so that a new kind changes no other file.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/compose(\\.ts$|/)', '^src/[a-z]+/[a-z-]*registry\\.ts$'] },
      to: { path: '^src/(analysis/kinds|operations/kinds|engine/throttles)/' },
    },
    {
      name: 'use-cases-know-no-transport',
      comment: 'What Declutter does is the same by GraphQL, by the command line and in a test.',
      severity: 'error',
      from: { path: `^src/(${PARTS}|operations)/` },
      to: { path: '^src/(graphql|http|cli|console|demo|config\\.ts)' },
    },
    {
      name: 'operations-are-handed-in',
      comment: 'Use-cases know the contract of an operation, not how one is done.',
      severity: 'error',
      from: { path: '^src/(analysis|planning|schedule|databases)/' },
      to: { path: '^src/operations/', pathNot: '^src/operations/(define-operation|[a-z-]*registry)\\.ts$' },
    },
    {
      name: 'analysis-and-databases-change-nothing',
      comment: 'Looking at a database needs neither plans nor runs.',
      severity: 'error',
      from: { path: '^src/(analysis|databases)/' },
      to: { path: '^src/(planning|engine|schedule|operations)/' },
    },
    {
      name: 'an-archive-needs-no-run',
      comment:
        'What was archived can be read, verified and written by whoever has its list; runs and their kinds are not needed.',
      severity: 'error',
      from: { path: '^src/archive/' },
      to: { path: '^src/(analysis|databases|engine|operations|planning|schedule)/' },
    },
    {
      name: 'planning-does-not-run',
      comment: 'A plan is a dry run: nothing that changes a target is within its reach.',
      severity: 'error',
      from: { path: '^src/planning/' },
      to: { path: '^src/(engine|schedule)/' },
    },
    {
      name: 'transport-translates',
      comment: 'A resolver or route calls a use-case; it never reaches past it into a database.',
      severity: 'error',
      from: { path: '^src/(graphql|http)/' },
      to: { path: '^src/(target|operations|store/client)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'graphql-knows-no-http',
      comment: 'The schema can be built and tested without a server.',
      severity: 'error',
      from: { path: '^src/graphql/' },
      to: { path: '^src/(http|cli|console|demo)/' },
    },
    {
      name: 'clients-use-the-public-api',
      comment:
        'The client commands and the console see what every client sees: the public API, by generated documents.',
      severity: 'error',
      from: { path: '^src/(cli/client|console)/' },
      to: { path: '^src/', pathNot: ['^src/$1/', '^src/errors\\.ts$', '^src/clock\\.ts$'] },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^src/store/client/', '^src/cli/client/generated/'] },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
