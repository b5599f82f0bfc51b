/** The lint rules, all of them errors. Rules of our own are in test/tooling/house-rules.ts; lint.test.ts proves each. */
import { defineConfig } from 'oxlint';

/** Time and chance come through src/platform where the simulator runs the same code (protocol I1). */
const impureGlobals = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'Date',
  'performance',
  'crypto',
  'process',
  'globalThis',
];

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'node', 'promise', 'vitest'],
  jsPlugins: ['./test/tooling/house-rules.ts'],
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'house/import-direction': 'error',

    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/return-await': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/no-explicit-any': 'error',
    'typescript/no-unsafe-argument': 'error',
    'typescript/no-unsafe-assignment': 'error',
    'typescript/no-unsafe-call': 'error',
    'typescript/no-unsafe-member-access': 'error',
    'typescript/no-unsafe-return': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-import-type-side-effects': 'error',
    'typescript/ban-ts-comment': 'error',
    // Branded numbers and strings are made by assertion, in the one file that declares them.
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/restrict-plus-operands': 'error',
    'typescript/use-unknown-in-catch-callback-variable': 'error',

    // Spans, ids and hex are not prose; fc.property reads better than a bare property.
    'typescript/no-misused-spread': 'off',
    'import/no-named-as-default-member': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'no-control-regex': 'off',
    'no-new': 'off',
    // Changed by what runs during an await.
    'no-unmodified-loop-condition': 'off',
    // A copy made to sort it, or to iterate while the original changes.
    'unicorn/no-array-sort': 'off',
    'unicorn/no-useless-spread': 'off',
    // Tests made from tables.
    'vitest/no-conditional-tests': 'off',
    'vitest/no-conditional-expect': 'off',
    'vitest/valid-title': 'off',
    'vitest/no-standalone-expect': 'off',
    'vitest/require-to-throw-message': 'off',
    'vitest/valid-expect': ['error', { maxArgs: 2 }],
    'vitest/expect-expect': 'off',
    'promise/always-return': 'off',
    'promise/no-callback-in-promise': 'off',

    eqeqeq: ['error', 'always', { null: 'ignore' }],
    'no-console': 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'no-param-reassign': 'error',
    'no-self-compare': 'error',
    'no-fallthrough': 'error',
    'import/no-default-export': 'error',
    'import/no-cycle': ['error', { ignoreTypes: true }],
    'unicorn/prefer-node-protocol': 'error',
    'unicorn/filename-case': ['error', { case: 'kebabCase' }],
  },
  overrides: [
    {
      files: ['src/{raft,ap,store,transport,api}/**'],
      rules: {
        'no-restricted-globals': ['error', ...impureGlobals],
        'no-restricted-properties': ['error', { object: 'Math', property: 'random' }],
      },
    },
    // Matchers inside an expectation are typed any.
    { files: ['test/**'], rules: { 'typescript/no-unsafe-assignment': 'off', 'typescript/unbound-method': 'off' } },
    { files: ['src/raft/core/**'], rules: { 'house/pure-core': 'error' } },
    { files: ['src/cli/**', 'cluster/**', 'bench/**', 'demo/**', 'test/**'], rules: { 'no-console': 'off' } },
    { files: ['*.config.ts', 'test/tooling/house-rules.ts'], rules: { 'import/no-default-export': 'off' } },
  ],
});
