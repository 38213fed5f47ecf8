/** What a prop may hold: plain JSON data. Kept in `base`, since both the wire and the documents speak of it. */

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
