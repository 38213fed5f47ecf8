/**
 * How ops are counted: by kind and block. What a client made, what it got back and what the log has are held together so.
 */

export const opKey = (op: string, block: string | null): string => `${op} ${block}`;
