/**
 * Each rule of the house refuses what it is there for. A small tree with one bad file per rule stands in a temporary
 * folder with a copy of the real configuration; one run of oxlint over it must name every one of them, and spare the good ones.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Case {
  readonly file: string;
  readonly code: string;
  /** The rule that refuses it; none when the file is good. */
  readonly rule?: string;
}

const importing = (specifier: string): string => `export * from '${specifier}';
`;
const direction = 'house(import-direction)';
const globals = 'eslint(no-restricted-globals)';
const pure = 'house(pure-core)';

const cases: Readonly<Record<string, Case>> = {
  'the Raft core imports another folder': {
    file: 'src/raft/core/a.ts',
    code: importing('../../limits.ts'),
    rule: direction,
  },
  'the Raft core imports the driver': { file: 'src/raft/core/b.ts', code: importing('../driver.ts'), rule: direction },
  'the Raft core imports a Node module': {
    file: 'src/raft/core/c.ts',
    code: importing('node:assert'),
    rule: direction,
  },
  'the Raft core imports a type': {
    file: 'src/raft/core/d.ts',
    code: "import type { Clock } from '../../platform/clock.ts';\nexport type Other = Clock;\n",
    rule: direction,
  },
  'the Raft core imports for itself': {
    file: 'src/raft/core/e.ts',
    code: "import * as limits from '../../limits.ts';\nexport const x = limits;\n",
    rule: direction,
  },
  'the Raft core waits': {
    file: 'src/raft/core/f.ts',
    code: 'export async function f(x: () => void) {\n  x();\n}\n',
    rule: pure,
  },
  'the Raft core makes a promise': {
    file: 'src/raft/core/g.ts',
    code: 'export const f = () => Promise.resolve(1);\n',
    rule: pure,
  },
  'the Raft core imports itself': { file: 'src/raft/core/good.ts', code: importing('./a.ts') },

  ...Object.fromEntries(
    ['fs', 'fs/promises', 'timers', 'timers/promises', 'zlib', 'crypto', 'net'].flatMap((module) =>
      ['raft', 'store', 'ap'].map((folder) => [
        `${folder} imports node:${module}`,
        { file: `src/${folder}/${module.replace('/', '-')}.ts`, code: importing(`node:${module}`), rule: direction },
      ]),
    ),
  ),
  'a Node module without its prefix': { file: 'src/store/bare.ts', code: importing('fs'), rule: direction },
  'store imports level': { file: 'src/store/level.ts', code: importing('level'), rule: direction },
  'store imports classic-level': { file: 'src/store/classic.ts', code: importing('classic-level'), rule: direction },
  'store imports at run time': {
    file: 'src/store/late.ts',
    code: "export const late = import('node:fs');\n",
    rule: direction,
  },
  'store imports the real platform': {
    file: 'src/store/real.ts',
    code: importing('../platform/real/clock.ts'),
    rule: direction,
  },
  'store imports raft': { file: 'src/store/raft.ts', code: importing('../raft/driver.ts'), rule: direction },
  'store imports messages of raft': {
    file: 'src/store/words.ts',
    code: importing('../raft/core/message.ts'),
    rule: direction,
  },
  'store imports the words of raft': { file: 'src/store/good.ts', code: importing('../raft/core/types.ts') },
  'raft imports api': { file: 'src/raft/api.ts', code: importing('../api/server.ts'), rule: direction },
  'raft imports cli': { file: 'src/raft/cli.ts', code: importing('../cli/main.ts'), rule: direction },
  'raft imports node.ts': { file: 'src/raft/node.ts', code: importing('../node.ts'), rule: direction },
  'raft imports store': { file: 'src/raft/good.ts', code: importing('../store/block-log.ts') },
  'api imports cli': { file: 'src/api/cli.ts', code: importing('../cli/main.ts'), rule: direction },
  'api imports node.ts': { file: 'src/api/node.ts', code: importing('../node.ts'), rule: direction },
  'api imports raft': { file: 'src/api/good.ts', code: importing('../raft/driver.ts') },
  'otlp imports store': { file: 'src/otlp/store.ts', code: importing('../store/entry.ts'), rule: direction },
  'otlp imports digest and limits': { file: 'src/otlp/good.ts', code: importing('../platform/digest.ts') },
  'otlp imports another seam': { file: 'src/otlp/clock.ts', code: importing('../platform/clock.ts'), rule: direction },
  'transport imports api': { file: 'src/transport/api.ts', code: importing('../api/server.ts'), rule: direction },
  'transport imports the block log': {
    file: 'src/transport/log.ts',
    code: importing('../store/block-log.ts'),
    rule: direction,
  },
  'transport imports entries': { file: 'src/transport/good.ts', code: importing('../store/entry.ts') },
  'config imports node.ts': { file: 'src/config.ts', code: importing('./node.ts'), rule: direction },

  ...Object.fromEntries(
    Object.entries({
      setTimeout: 'setTimeout(() => undefined, 1)',
      setInterval: 'setInterval(() => undefined, 1)',
      setImmediate: 'setImmediate(() => undefined)',
      'Date.now': 'Date.now()',
      'new Date': 'new Date()',
      'performance.now': 'performance.now()',
      'process.hrtime': 'process.hrtime.bigint()',
      'crypto.randomUUID': 'crypto.randomUUID()',
      globalThis: 'globalThis',
    }).flatMap(([name, code], index) =>
      ['raft', 'raft/core', 'store'].map((folder) => [
        `${folder} calls ${name}`,
        { file: `src/${folder}/global-${index}.ts`, code: `export const x = ${code};\n`, rule: globals },
      ]),
    ),
  ),
  'raft calls Math.random': {
    file: 'src/raft/chance.ts',
    code: 'export const x = Math.random();\n',
    rule: 'eslint(no-restricted-properties)',
  },
  'the real platform calls setTimeout': {
    file: 'src/platform/real/good.ts',
    code: 'export const x = setTimeout(() => undefined, 1);\n',
  },

  'a promise is left floating': {
    file: 'src/node.ts',
    code: 'export function f(work: () => Promise<void>): void {\n  work();\n}\n',
    rule: 'typescript(no-floating-promises)',
  },
  'a promise is taken for a condition': {
    file: 'src/api/misused.ts',
    code: 'export const f = (x: () => Promise<boolean>): number => (x() ? 1 : 2);\n',
    rule: 'typescript(no-misused-promises)',
  },
  'a value is awaited': {
    file: 'src/api/thenable.ts',
    code: 'export async function f(x: number): Promise<number> {\n  return await x;\n}\n',
    rule: 'typescript(await-thenable)',
  },
  'a switch forgets a case': {
    file: 'src/api/switch.ts',
    code: "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}\n",
    rule: 'typescript(switch-exhaustiveness-check)',
  },
  any: { file: 'src/api/any.ts', code: 'export const x = (y: any): void => y;\n', rule: 'typescript(no-explicit-any)' },
  'a non-null assertion': {
    file: 'src/api/assert.ts',
    code: 'export const x = (y: string | null): string => y!;\n',
    rule: 'typescript(no-non-null-assertion)',
  },
  'a type imported as a value': {
    file: 'src/api/value.ts',
    code: "import { Clock } from '../platform/clock.ts';\nexport type Other = Clock;\n",
    rule: 'typescript(consistent-type-imports)',
  },
  'loose equality': {
    file: 'src/api/equal.ts',
    code: 'export const f = (x: number): boolean => x == 1;\n',
    rule: 'eslint(eqeqeq)',
  },
  'console outside the command line': {
    file: 'src/api/console.ts',
    code: "console.log('x');\n",
    rule: 'eslint(no-console)',
  },
  'console in a command': { file: 'src/cli/good.ts', code: "console.log('x');\n" },
  'a default export': { file: 'src/api/default.ts', code: 'export default 1;\n', rule: 'import(no-default-export)' },
};

/** Codes of the diagnostics, by file. */
const found = new Map<string, string[]>();
let tree = '';

beforeAll(async () => {
  tree = mkdtempSync(join(tmpdir(), 'quorate-lint-'));
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(tree, 'node_modules'));
  for (const path of ['oxlint.config.ts', 'tsconfig.json', 'test/tooling/house-rules.ts', 'src/platform/clock.ts']) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    cpSync(join(import.meta.dirname, '../..', path), join(tree, path));
  }
  for (const { file, code } of Object.values(cases)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), code);
  }
  const oxlint = join(import.meta.dirname, '../../node_modules/oxlint/bin/oxlint');
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [oxlint, '--format=json', 'src'], { cwd: tree }, (_error, stdout) => resolve(stdout));
  });
  const { diagnostics } = JSON.parse(output) as { diagnostics: { filename: string; code: string }[] };
  for (const { filename, code } of diagnostics) found.set(filename, [...(found.get(filename) ?? []), code]);
});

afterAll(() => rmSync(tree, { recursive: true, force: true }));

describe('the linter', () => {
  for (const [name, { file, rule }] of Object.entries(cases)) {
    const title = rule === undefined ? `allows: ${name}` : `refuses: ${name}`;
    it(title, () => expect(found.get(file) ?? []).toEqual(rule === undefined ? [] : expect.arrayContaining([rule])));
  }
});
