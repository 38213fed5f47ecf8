import { defineConfig } from 'vitest/config';

const common = { testTimeout: 120_000, hookTimeout: 60_000 };
const unit = [
  'src/**/*.test.ts',
  'test/tidy.test.ts',
  'test/deploy.test.ts',
  'test/contracts/**/*.test.ts',
  'test/sim/**/*.test.ts',
  'test/bench/**/*.test.ts',
];
/** Both of these run the built server: as its users do, and while things break that it stands on. */
const endToEnd = ['test/e2e/**/*.test.ts'];
const faults = ['test/chaos/**/*.test.ts'];
const globalSetup = ['test/support/build.ts'];

export default defineConfig({
  test: {
    // Few workers: the integration files start servers of their own, and the machine may be small. They wait a lot.
    maxWorkers: 3,
    projects: [
      { test: { ...common, name: 'unit', include: unit } },
      { test: { ...common, name: 'end-to-end', include: endToEnd, globalSetup } },
      { test: { ...common, name: 'faults', include: faults, globalSetup } },
    ],
  },
});
