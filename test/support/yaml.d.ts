/**
 * The little of `yaml` that tests use; its own types say `any`.
 */

declare module 'yaml' {
  export interface Document {
    readonly errors: readonly Error[];
    readonly warnings: readonly Error[];
    toJS(): unknown;
  }
  export function parseAllDocuments(text: string, options: { readonly merge: true }): readonly Document[];
}
