import type { SuiteResult } from '../lib/figures.ts';
export const hop = async (): Promise<SuiteResult> => ({ suite: 'hop', settings: {}, figures: [], notes: [] });
