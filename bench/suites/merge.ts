import type { SuiteResult } from '../lib/figures.ts';
export const merge = async (): Promise<SuiteResult> => ({
  suite: 'merge',
  settings: {},
  figures: [],
  notes: [],
});
