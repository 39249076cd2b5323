/** Folders of src, each with the other parts of src it may import. */
const layers = {
  util: [],
  contract: ['util'],
  core: ['contract', 'serializers', 'util'],
  middleware: ['contract', 'core', 'util'],
  serializers: ['contract', 'util'],
  scheduler: ['contract', 'core', 'adapters/memory', 'util'],
  di: ['contract', 'core', 'util'],
  workflow: ['contract', 'core', 'util'],
  // Jobs and queues of a service need a broker by its URL.
  serve: ['contract', 'core', 'util', 'connect.ts'],
  observability: ['contract', 'core', 'util'],
  dashboard: ['contract', 'core', 'util'],
  testing: ['contract', 'core', 'di', 'adapters/memory', 'util'],
}

/** Tests stand outside the layers; that nothing imports them is a rule of its own. */
const tests = '\\.test(-d)?\\.ts$'
const brokers = ['^src/adapters/[^/]+/broker\\.ts$', '^src/adapters/[^/]+/[^/]+-broker\\.ts$']
const packages = ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-bundled', 'npm-no-pkg', 'npm-unknown']

/** Of folders, or of a single file. */
const inside = (...folders) => folders.map((folder) => `^src/${folder}${folder.endsWith('.ts') ? '$' : '/'}`)

module.exports = {
  forbidden: [
    ...Object.entries(layers).map(([folder, allowed]) => ({
      name: `${folder}-imports-only-${allowed.join('-').replaceAll(/[/.]/g, '-') || 'itself'}`,
      severity: 'error',
      from: { path: inside(folder), pathNot: tests },
      to: { path: '^src/', pathNot: inside(folder, ...allowed) },
    })),
    {
      name: 'adapters-import-only-contract-serializers-util',
      comment: 'Only broker.ts or *-broker.ts directly in the folder of the adapter may also import core/index.ts.',
      severity: 'error',
      from: { path: inside('adapters'), pathNot: [tests, ...brokers] },
      to: { path: '^src/', pathNot: inside('adapters', 'contract', 'serializers', 'util') },
    },
    {
      name: 'adapter-brokers-import-only-contract-core-serializers-util',
      severity: 'error',
      from: { path: brokers },
      to: { path: '^src/', pathNot: inside('adapters', 'contract', 'core', 'serializers', 'util') },
    },
    {
      name: 'adapters-do-not-know-each-other',
      severity: 'error',
      from: { path: '^src/adapters/([^/]+)/', pathNot: tests },
      to: { path: '^src/adapters/', pathNot: '^src/adapters/$1/' },
    },
    {
      name: 'every-folder-has-a-layer',
      comment: 'A new folder of src gets its line in `layers`. cli and the files directly in src may import anything.',
      severity: 'error',
      from: { path: '^src/([^/]+)/', pathNot: [tests, ...inside(...Object.keys(layers), 'adapters', 'cli')] },
      to: { path: '^src/', pathNot: '^src/$1/' },
    },
    {
      name: 'folders-are-entered-through-index',
      severity: 'error',
      from: { path: '^src/([^/]+)/', pathNot: tests },
      to: { path: '^src/(contract|core)/(?!index\\.ts$)', pathNot: '^src/$1/' },
    },
    {
      name: 'no-cycles',
      comment: 'A cycle that a type-only import closes does not exist at run time.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'src-does-not-import-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: tests },
      to: { path: ['^test/', tests] },
    },
    {
      name: 'util-contract-core-have-no-packages',
      comment: 'Only util/cron.ts stands on one: croner, a dependency without any of its own.',
      severity: 'error',
      from: { path: inside('util', 'contract', 'core'), pathNot: [tests, '^src/util/cron\\.ts$'] },
      to: { dependencyTypes: packages },
    },
    {
      name: 'drivers-are-imported-lazily',
      comment:
        'Drivers are optional peers: `await import(…)` where one is needed, never at load; types are structural.',
      severity: 'error',
      from: { path: inside('adapters', 'serializers'), pathNot: tests },
      to: { dependencyTypes: packages, dynamic: false },
    },
    {
      name: 'src-does-not-import-dev-dependencies',
      severity: 'error',
      from: { path: '^src/', pathNot: tests },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'npm-peer', 'npm-optional'] },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
  },
}
