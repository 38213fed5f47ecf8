/**
 * Seeds that found a bug, and the bug. A change of the plans gives a seed another run, so each bug has a small test of its
 * own beside the code as well; these are here because a seed that was wild once tends to be wild.
 */

export const regressions: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 261, found: 'changes that came with a snapshot were confirmed at the seq of a later one (K22)' },
  { seed: 1, found: 'a fresh token, taken in band, closed every open page of the SDK (K16)' },
  {
    seed: 438,
    found: 'a page opened again on a node that was behind: edits taken for duplicates, and lost (K23)',
  },
  { seed: 199, found: 'a block below one that was told before its commit stayed hidden (K1)' },
  { seed: 697, found: 'a live text kept what was told before its commit and had no effect in the log (K2)' },
  { seed: 932, found: 'the server’s clock stepped back under a connection: clock_skew without end (H10)' },
  {
    seed: 504,
    found: 'text refused as missing, its number given to another, while another node appended it (K82)',
  },
  {
    seed: 17357,
    found: 'a number refused by one node and kept by another: what came behind it was let in (C112)',
  },
  { seed: 127, found: 'a live text kept a deletion that was told before its commit and never came (K82)' },
  { seed: 14338, found: 'the check of causality took an undo for the write that it brought back (H5)' },
];
