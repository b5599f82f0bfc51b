/**
 * The rules of this house that no stock lint rule can say, as a plugin for oxlint (see oxlint.config.ts).
 *
 * `import-direction`: imports run one way, `cli -> node -> api -> (raft | ap) -> store`, with `otlp` and `transport`
 * at the side (design section 3). The table below is a list of what a folder *may* import; all else is refused,
 * types included. `pure-core`: nothing in the Raft core waits, so every test of it is a list of inputs.
 */
import { isBuiltin } from 'node:module';
import { dirname, relative, resolve, sep } from 'node:path';

interface House {
  /** Files and folders of ours, besides the folder itself. `!x` takes x out again. */
  readonly ours: readonly string[];
  /** Packages and Node modules. `node:*` is every Node module, `*` is everything. */
  readonly packages: readonly string[];
}

const pureModules = ['node:assert', 'node:buffer', 'node:util'];

/** Words that everybody but the core may use. */
const common = ['src/limits.ts', 'src/errors.ts', 'src/logger.ts', 'src/version.ts'];
const seams = ['src/platform', '!src/platform/real'];

/** The longest key that is a prefix of a file's path rules it. Outside src/ everything may be imported. */
const houses: Readonly<Record<string, House>> = {
  'src/limits.ts': { ours: [], packages: [] },
  'src/errors.ts': { ours: [], packages: [] },
  'src/logger.ts': { ours: [], packages: [] },
  'src/version.ts': { ours: [], packages: [] },
  'src/settings.ts': { ours: [], packages: [] },
  'src/config.ts': {
    ours: ['src/settings.ts', 'src/limits.ts', 'src/raft/core/types.ts', ...seams],
    packages: ['node:path'],
  },
  'src/platform': { ours: [...common, '!src/platform/real'], packages: ['node:crypto', 'node:zlib', ...pureModules] },
  'src/platform/real': { ours: ['src/platform', ...common], packages: ['node:*', 'level', 'classic-level'] },
  'src/otlp': { ours: ['src/platform/digest.ts', ...common], packages: pureModules },
  'src/transport': {
    // An entry, and the base in one, travel as they stand on the disk.
    ours: ['src/raft/core', 'src/store/entry.ts', 'src/store/trim-record.ts', ...seams, ...common],
    packages: ['msgpackr', ...pureModules],
  },
  'src/store': {
    ours: ['src/raft/core/types.ts', 'src/raft/core/format-level.ts', 'src/otlp/wire.ts', ...seams, ...common],
    packages: pureModules,
  },
  'src/raft/core': { ours: [], packages: [] },
  'src/raft': { ours: ['src/store', 'src/transport/transport.ts', ...seams, ...common], packages: pureModules },
  'src/ap': { ours: ['src/store', 'src/transport/transport.ts', ...seams, ...common], packages: pureModules },
  'src/traces': {
    ours: ['src/raft', 'src/store', 'src/otlp', 'src/transport/transport.ts', ...seams, ...common],
    packages: pureModules,
  },
  'src/api': {
    ours: [
      'src/traces',
      'src/raft',
      'src/ap',
      'src/store',
      'src/otlp',
      'src/transport/transport.ts',
      ...seams,
      ...common,
    ],
    packages: ['*'],
  },
  'src/node.ts': { ours: ['src', '!src/cli'], packages: ['*'] },
  'src/cli': { ours: ['src'], packages: ['*'] },
  src: { ours: [], packages: [] },
};

const isUnder = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** The key of `houses` that rules `path`, or undefined when none does. */
function houseOf(path: string): string | undefined {
  return Object.keys(houses)
    .filter((key) => isUnder(path, key))
    .toSorted((a, b) => b.length - a.length)[0];
}

/** A sentence when the file at `from` (relative to the root) must not import `specifier`, else undefined. */
function refusal(from: string, specifier: string): string | undefined {
  const name = houseOf(from);
  const house = name === undefined ? undefined : houses[name];
  if (name === undefined || house === undefined) return undefined;
  if (!specifier.startsWith('.')) {
    const module = isBuiltin(specifier) && !specifier.startsWith('node:') ? `node:${specifier}` : specifier;
    const allowed = house.packages.some(
      (entry) =>
        entry === '*' || isUnder(module, entry) || (entry.endsWith(':*') && module.startsWith(entry.slice(0, -1))),
    );
    return allowed ? undefined : `${name} must not import ${module}; go through a seam of src/platform.`;
  }
  const target = relative('.', resolve(dirname(from), specifier))
    .split(sep)
    .join('/');
  const denied = house.ours.some((entry) => entry.startsWith('!') && isUnder(target, entry.slice(1)));
  const allowed = isUnder(target, name) || house.ours.some((entry) => isUnder(target, entry));
  return allowed && !denied ? undefined : `${name} must not import ${target}: imports run one way (design section 3).`;
}

/** The parts of an ESTree node and a lint context that these rules read. */
interface Node {
  readonly type: string;
  readonly name?: string;
  readonly async?: boolean;
  readonly source?: { readonly value?: unknown } | null;
}
interface Context {
  readonly filename: string;
  readonly cwd: string;
  report(problem: { readonly node: Node; readonly message: string }): void;
}

const importDirection = {
  create(context: Context) {
    const from = relative(context.cwd, context.filename).split(sep).join('/');
    const check = (node: Node): void => {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string') return;
      const message = refusal(from, specifier);
      if (message !== undefined) context.report({ node, message });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
    };
  },
};

const pureCore = {
  create(context: Context) {
    const refuse = (node: Node): void =>
      context.report({ node, message: 'The Raft core is synchronous: answer through ready(), do not wait.' });
    const refuseAsync = (node: Node): void => {
      if (node.async === true) refuse(node);
    };
    return {
      AwaitExpression: refuse,
      ForOfStatement: (node: Node & { readonly await?: boolean }): void => {
        if (node.await === true) refuse(node);
      },
      FunctionDeclaration: refuseAsync,
      FunctionExpression: refuseAsync,
      ArrowFunctionExpression: refuseAsync,
      Identifier: (node: Node): void => {
        if (node.name === 'Promise') refuse(node);
      },
    };
  },
};

// oxlint wants a plugin as a default export.
export default {
  meta: { name: 'house' },
  rules: { 'import-direction': importDirection, 'pure-core': pureCore },
};
