/**
 * Looks at source text for the test of the code itself: roughly, without a parser. Comments, strings and regular
 * expressions are blanked first (line ends stay), so that what follows meets code only; then braces are matched.
 */
import { dirname, join, normalize } from 'node:path';

const REGEX_MAY_FOLLOW = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|=>|\b(?:return|typeof|case|in|of|await|void))$/;
const GATHERS_TESTS = /^\s*(?:test|it|describe)(?:\.\w+)*\(/m;
const NO_FUNCTIONS = new Set(['if', 'for', 'while', 'switch', 'catch', 'with']);

/** The same text with spaces for comments, and for what stands in strings and regular expressions. */
export function codeOnly(text: string): string {
  let out = '';
  /** For each open template: how many braces are open in its `${`. */
  const templates: number[] = [];
  let at = 0;
  const skip = (to: number) => {
    out += text.slice(at, to).replaceAll(/[^\n]/g, ' ');
    at = to;
  };
  const keep = () => (out += text[at++]!);
  while (at < text.length) {
    const rest = text.slice(at, at + 2);
    const char = text[at]!;
    if (rest === '//') skip(endOf(text, at, '\n'));
    else if (rest === '/*') skip(endOf(text, at + 2, '*/') + 2);
    else if (char === "'" || char === '"') {
      const end = endOfQuoted(text, at + 1, char);
      keep();
      skip(end);
      keep();
    } else if (char === '`' || (char === '}' && templates.at(-1) === 0)) {
      if (char === '}') templates.pop();
      keep();
      skip(endOfTemplate(text, at));
      if (text[at] === '$') {
        templates.push(0);
        keep();
      }
      keep();
    } else if (char === '/' && REGEX_MAY_FOLLOW.test(out.trimEnd().slice(-10))) {
      skip(endOfRegex(text, at + 1) + 1);
    } else {
      if (templates.length > 0) templates[templates.length - 1]! += char === '{' ? 1 : char === '}' ? -1 : 0;
      keep();
    }
  }
  return out;
}

function endOf(text: string, from: number, what: string): number {
  const found = text.indexOf(what, from);
  return found < 0 ? text.length : found;
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let at = from;
  while (at < text.length && text[at] !== quote && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1;
  return at;
}

/** The closing backtick, or the `$` of the next `${`. */
function endOfTemplate(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '`' && text.slice(at, at + 2) !== '${')
    at += text[at] === '\\' ? 2 : 1;
  return at;
}

function endOfRegex(text: string, from: number): number {
  let inClass = false;
  let at = from;
  for (; at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/'); at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
  }
  return at;
}

export interface FoundFunction {
  /** From 1: where its body opens. */
  readonly line: number;
  readonly lines: number;
}

/** Every function with a body in braces. One that gathers tests need not be short, only what is inside. */
export function functionsIn(text: string): FoundFunction[] {
  const code = codeOnly(text);
  const found: FoundFunction[] = [];
  const open: { line: number; at: number; counts: boolean }[] = [];
  let line = 1;
  for (let at = 0; at < code.length; at++) {
    if (code[at] === '\n') line++;
    else if (code[at] === '{') open.push({ line, at, counts: opensFunction(code.slice(0, at)) });
    else if (code[at] === '}') {
      const block = open.pop();
      if (!block?.counts || GATHERS_TESTS.test(code.slice(block.at, at))) continue;
      found.push({ line: block.line, lines: line - block.line + 1 });
    }
  }
  if (open.length > 0) throw new Error(`a brace of line ${open.at(-1)!.line} is not closed`);
  return found;
}

/** Whether a brace after this text opens the body of a function: an arrow, or parameters that no keyword asked for. */
function opensFunction(before: string): boolean {
  if (/=>\s*$/.test(before)) return true;
  const close = before.lastIndexOf(')');
  // Between parameters and body only a return type may stand.
  if (close < 0 || !/^\s*(?::[^;=]*)?$/.test(before.slice(close + 1))) return false;
  let depth = 0;
  for (let at = close; at >= 0; at--) {
    if (before[at] === ')') depth++;
    else if (before[at] === '(' && --depth === 0) {
      const word = /([\w$]+)\s*$/.exec(before.slice(Math.max(0, at - 60), at))?.[1];
      return !NO_FUNCTIONS.has(word ?? '');
    }
  }
  return false;
}

/** The exported functions and classes; types and constants are not counted, functions in constants are. */
export function exportedNames(text: string): string[] {
  const code = codeOnly(text);
  const declared = /^export (?:async )?(?:abstract )?(?:function\*?|class) (\w+)/gm;
  const assigned =
    /^export const (\w+)(?::[^=]*)? = (?:async )?(?:function\b|\([^()]*\)(?:: [^=]*)? =>|\w+ =>)/gm;
  return [...code.matchAll(declared), ...code.matchAll(assigned)].map(([, name]) => name!);
}

/** What a file imports by a relative path, as paths from the root: `from '…'`, `import '…'` and `import('…')` alike. */
export function importedFiles({ path, text }: { readonly path: string; readonly text: string }): string[] {
  const targets = text.matchAll(/(?:^|[}\s])(?:from|import|import\()\s?'(\.[^']+)'/gm);
  return [...targets].map(([, target]) => normalize(join(dirname(path), target!)));
}

/** The ids of headings, as GitHub makes them. */
export function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm);
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
  return new Set([...headings].map(([, heading]) => slug(heading!)));
}
