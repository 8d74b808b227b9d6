/** A naive archive in a process of its own, to be killed: node naive-process.ts '{"order":...}' */
import { setTimeout as rest } from 'node:timers/promises';
import { archiveNaively, type NaiveJob } from './naive-archive.ts';

process.stdout.write('ready\n');
await archiveNaively(JSON.parse(process.argv[2] ?? '') as NaiveJob, () => rest(20));
