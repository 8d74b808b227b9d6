/* global document, location, sessionStorage, fetch, React, ReactDOM, GraphiQL, graphqlWs */
'use strict';

const BLOAT_OVERVIEW = `# What is large and what is wasted, from the last snapshot of each database.
query BloatOverview {
  databases {
    name
    environment
    sizeBytes
    wastedBytes
    snapshotAt
    unreachable
    tables(orderBy: WASTED_BYTES, first: 10) {
      nodes {
        schema
        name
        totalBytes
        bloat { verdict wastedBytes ratio method advice }
      }
    }
    findings(first: 10) {
      nodes { kind severity title remedy { summary mutation variables } }
    }
  }
}
`;

const PLAN_AN_ARCHIVE = `# A dry run: it changes nothing, and says exactly what would be done. Needs OPERATOR.
mutation PlanAnArchive($input: PlanArchiveInput!) {
  planArchive(input: $input) {
    id
    hash
    state
    cutoff
    impact { rows rowsAreExact share bytes estimatedSeconds }
    effects { schema table effect rows detail }
    blockers { code message hint }
    warnings { code message hint }
    locks { relation mode longestMs }
    steps { position description sql }
    sample(first: 3)
  }
}

# On a PRODUCTION database somebody else has to say yes first. Needs APPROVER.
mutation ApproveIt($id: ID!, $hash: String!) {
  approvePlan(id: $id, hash: $hash, comment: "Looks right.") {
    id
    state
    approvals { by at decision }
  }
}
`;

const PLAN_VARIABLES = {
  input: {
    database: 'shop',
    table: 'events',
    where: { column: 'occurred_at', op: 'OLDER_THAN', age: 'P2Y' },
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    reason: 'Tried from the playground.',
  },
};

const START_AND_WATCH = `# Starts exactly the plan with this hash, or refuses. Needs OPERATOR.
mutation StartARun($planId: ID!, $planHash: String!, $key: String!) {
  startRun(planId: $planId, planHash: $planHash, idempotencyKey: $key) {
    id
    state
    stateReason
  }
}

# Its events as they happen, the earlier ones first.
subscription WatchARun($runId: ID!) {
  runEvents(runId: $runId) {
    sequence
    at
    kind
    message
    data
  }
}

query LookAtARun($runId: ID!) {
  run(id: $runId) {
    state
    stateReason
    progress { rowsDone rowsTotal ratio rowsPerSecond etaSeconds batches }
    throttle { active reason dutyCycle batchRows }
    result { rowsArchived rowsDeleted bytesReusable nextStep }
    archive { id rows bytes verifiedAt }
  }
}
`;

const START_VARIABLES = { planId: '', planHash: '', key: 'from-the-playground-1', runId: '' };

const tabs = [
  { query: BLOAT_OVERVIEW, variables: '{}' },
  { query: PLAN_AN_ARCHIVE, variables: JSON.stringify(PLAN_VARIABLES, null, 2) },
  { query: START_AND_WATCH, variables: JSON.stringify(START_VARIABLES, null, 2) },
];

const form = document.getElementById('token-form');
const input = document.getElementById('token');
const state = document.getElementById('token-state');
const root = ReactDOM.createRoot(document.getElementById('graphiql'));

const STORED = 'declutter:token';
const endpoint = new URL('graphql', location.href);
const socketEndpoint = new URL(endpoint);
socketEndpoint.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

let socket = null;

/** A new token makes a new editor: it reads the schema anew, with the rights of that token. */
function use(token) {
  socket?.dispose();
  const headers = { Authorization: `Bearer ${token}` };
  socket = graphqlWs.createClient({ url: socketEndpoint.href, connectionParams: headers, retryAttempts: 0 });
  const fetcher = GraphiQL.createFetcher({ url: endpoint.href, headers, wsClient: socket });
  root.render(
    React.createElement(GraphiQL, {
      key: token,
      fetcher,
      defaultTabs: tabs,
      defaultEditorToolsVisibility: 'variables',
      shouldPersistHeaders: false,
      isHeadersEditorEnabled: false,
    }),
  );
}

async function whoAmI(token) {
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: '{ viewer { subject roles } }' }),
  });
  const { data, errors } = await answer.json();
  if (errors) return { ok: false, text: errors[0].message };
  return { ok: true, text: `${data.viewer.subject} (${data.viewer.roles.join(', ')})` };
}

async function accept(token) {
  const answer = await whoAmI(token).catch(() => ({ ok: false, text: 'The server does not answer.' }));
  state.value = answer.text;
  if (!answer.ok) {
    sessionStorage.removeItem(STORED);
    return;
  }
  sessionStorage.setItem(STORED, token);
  use(token);
}

function explain() {
  const words = [
    'The API answers nobody without an access token. To get one on this machine, run',
    'npm run --silent declutter -- token --client viewer',
    '(or operator, approver, admin), paste what it prints above and press Use.',
  ];
  const [before, command, after] = words;
  root.render(
    React.createElement('p', null, before, ' ', React.createElement('code', null, command), ' ', after),
  );
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (input.value.trim() !== '') void accept(input.value.trim());
  input.value = '';
});

const remembered = sessionStorage.getItem(STORED);
explain();
if (remembered !== null) void accept(remembered);
