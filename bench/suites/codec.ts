import type { SuiteResult } from '../lib/figures.ts';
export const codec = async (): Promise<SuiteResult> => ({
  suite: 'codec',
  settings: {},
  figures: [],
  notes: [],
});
