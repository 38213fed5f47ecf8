import type { SuiteResult } from '../lib/figures.ts';
export const append = async (): Promise<SuiteResult> => ({
  suite: 'append',
  settings: {},
  figures: [],
  notes: [],
});
