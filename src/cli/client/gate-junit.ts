import { type JudgedFinding, subjectOf, type Verdict } from './gate.ts';

/** A suite for each database, a case for each finding: known and minor ones are skipped, new ones fail. */
export function junit({ databases, findings, problems }: Verdict): string {
  const suites = databases.map((name) =>
    suite(name, [
      ...problems
        .filter(({ database }) => database === name)
        .map(({ message }) => testcase('judged', name, element('error', { message }))),
      ...findings.filter(({ database }) => database === name).map(findingCase),
    ]),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', { name: 'declutter' }, suites)}`;
}

/** Where there is nothing to tell, one case says that it was looked at: no report reads an empty suite as passed. */
function suite(name: string, found: readonly string[]): string {
  const cases = found.length > 0 ? found : [testcase('judged', name)];
  const count = (tag: string) => cases.filter((xml) => xml.includes(`<${tag} `)).length;
  const counts = { failures: count('failure'), errors: count('error'), skipped: count('skipped') };
  return element('testsuite', { name, tests: cases.length, ...counts }, cases);
}

function findingCase(finding: JudgedFinding): string {
  const { kind, severity, title, detail, standing } = finding;
  const name = `${kind} ${subjectOf(finding)}`;
  const says = `${severity}: ${title}`;
  if (standing === 'NEW')
    return testcase(
      name,
      finding.database,
      element('failure', { type: kind, message: says }, [escaped(detail)]),
    );
  const why = standing === 'KNOWN' ? 'in the baseline' : 'below the limit';
  return testcase(name, finding.database, element('skipped', { message: `${why}, ${says}` }));
}

const testcase = (name: string, classname: string, content?: string) =>
  element('testcase', { name, classname }, content === undefined ? [] : [content]);

function element(
  tag: string,
  attributes: Readonly<Record<string, string | number>>,
  content: readonly string[] = [],
) {
  const given = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(String(value))}"`);
  const start = `<${tag}${given.join('')}`;
  return content.length === 0 ? `${start}/>` : `${start}>\n${content.join('\n')}\n</${tag}>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
  '\t': '&#9;',
};

/** A name may hold any character; XML has no way to write most control characters. */
const escaped = (text: string) =>
  text
    .toWellFormed()
    // eslint-disable-next-line no-control-regex -- these are the ones
    .replace(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"\n\t]/g, (character) => ENTITIES[character] ?? character);
