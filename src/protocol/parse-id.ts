/**
 * Ids as people and tokens write them. What comes from the wire is read by `ids.ts`.
 */

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Reads an id typed or configured by a person; `undefined` if it is no UUID. */
export function parseId<T extends string>(text: string): T | undefined {
  const lower = text.toLowerCase();
  return UUID.test(lower) ? (lower as T) : undefined;
}
