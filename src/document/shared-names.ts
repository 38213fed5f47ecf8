/**
 * One string for all names that are equal: types and keys of props come again with every block. Only a cache: emptied when
 * it is full.
 */

const NAMES_MAX = 1000;
const names = new Map<string, string>();

export function sharedName(name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  if (names.size >= NAMES_MAX) names.clear();
  names.set(name, name);
  return name;
}
