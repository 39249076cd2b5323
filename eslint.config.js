import tseslint from 'typescript-eslint'

const typed = { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } }

export default tseslint.config(
  { ignores: ['dist', 'coverage', '.kiq', '.tmp', '.venv', 'test/fixtures', 'test/contract/programs'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.{ts,js,mjs,cjs}'],
    extends: [tseslint.configs.recommended],
    rules: {
      eqeqeq: 'error',
      'max-lines': ['error', { max: 500, skipBlankLines: true }],
      'prefer-const': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    // Configuration files whose tools ask for CommonJS.
    files: ['**/*.cjs'],
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  {
    files: ['{test,bench,demo,examples}/**/*.ts'],
    languageOptions: typed,
    rules: {
      // A promise nobody awaits is a test that passes whatever happens.
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: typed,
    rules: {
      'no-console': 'error',
      'max-params': ['error', 4],
      // `async` without `await` is how an in-memory adapter implements an asynchronous contract.
      '@typescript-eslint/require-await': 'off',
      // What was thrown is passed on as it is.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: false },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Export by name: one name for one thing in every file.' },
        {
          selector:
            ':function > Identifier.params[typeAnnotation.typeAnnotation.type="TSBooleanKeyword"], :function > AssignmentPattern.params[right.raw=/^(true|false)$/]',
          message:
            'A bare boolean parameter says nothing at the call: use an option with words, as in `{ running: "finish" }`.',
        },
        {
          selector: 'ThrowStatement > NewExpression[callee.name=/^(Error|TypeError|RangeError)$/]',
          message: 'Throw a KiqError subclass with a code from ERROR_CODES.',
        },
      ],
    },
  },
  {
    // Tests throw what users throw, hand over what the types forbid and know what an index holds.
    files: ['src/**/*.{test,test-d}.ts'],
    rules: {
      'no-restricted-syntax': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/only-throw-error': 'off',
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    // Vitest's asymmetric matchers are `any`.
    files: ['src/testing/conformance/**'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off' },
  },
)
