import type { SuiteResult } from '../lib/figures.ts';
export const largePage = async (): Promise<SuiteResult> => ({
  suite: 'large-page',
  settings: {},
  figures: [],
  notes: [],
});
