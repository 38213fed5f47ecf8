/**
 * The two messages of y-protocols that the bare relays tell from the rest: the question for a page, and a page.
 */

const SYNC = 0;

export const isStep1 = (bytes: Uint8Array): boolean => bytes[0] === SYNC && bytes[1] === 0;
export const isStep2 = (bytes: Uint8Array): boolean => bytes[0] === SYNC && bytes[1] === 1;
