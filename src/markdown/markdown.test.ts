/**
 * Markdown to blocks and back: the forms one by one, then what must hold for every document.
 *
 * The properties: import is a fixed point of export, no word of the source is missing in the plain text, and
 * nothing throws. They are tried on generated text made of Markdown's own punctuation, on generated block
 * trees, and on the Markdown files of the installed packages: some, or all of them with OCTAVO_TEST_LONG.
 */
import fc from 'fast-check';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { JsonValue } from '../base/json.ts';
import type { BlockJson, TextRun } from '../document/block-json.ts';
import { blocksToMarkdown } from './blocks-to-markdown.ts';
import { blocksToText } from './blocks-to-text.ts';
import { markdownToBlocks } from './markdown-to-blocks.ts';
import { markdownToText } from './markdown-to-text.ts';

/** All installed Markdown is 1.8 million characters, which take half a minute: 15 µs each. */
const LONG = process.env['OCTAVO_TEST_LONG'] !== undefined;
const fileCharactersMax = 8192;
const sumCharactersMax = 150_000;

type Props = { [key: string]: JsonValue };

function block(
  type: string,
  text: string | TextRun[] = [],
  props: Props = {},
  children: BlockJson[] = [],
): BlockJson {
  const runs = typeof text === 'string' ? [{ insert: text }] : text;
  return { type, props, text: runs, children };
}

const run = (insert: string, attributes: Props): TextRun => ({ insert, attributes });
const row = (...cells: string[]): BlockJson =>
  block(
    'table_row',
    [],
    {},
    cells.map((cell) => block('table_cell', cell === '' ? [] : cell)),
  );

/** Source, blocks, and the export where it differs from the source. */
const forms: [name: string, source: string, blocks: BlockJson[], exported?: string][] = [
  ['nothing', '', []],
  ['only space', ' \n\t\n', [], ''],
  [
    'a byte order mark and CRLF',
    '\uFEFFa\r\n\r\nb\r\n',
    [block('paragraph', 'a'), block('paragraph', 'b')],
    'a\n\nb\n',
  ],
  [
    'headings',
    '# a\n\n### b\n\n###### c\n',
    [block('heading_1', 'a'), block('heading_3', 'b'), block('heading_6', 'c')],
  ],
  ['a setext heading', 'a\n===  \n', [block('heading_1', 'a')], '# a\n'],
  ['a soft break', 'a\n  b\n', [block('paragraph', 'a b')], 'a b\n'],
  ['a hard break', 'a\\\nb\n', [block('paragraph', 'a\nb')]],
  [
    'marks',
    '**a** *b* ~~c~~ `d`\n',
    [
      block('paragraph', [
        run('a', { bold: true }),
        { insert: ' ' },
        run('b', { italic: true }),
        { insert: ' ' },
        run('c', { strike: true }),
        { insert: ' ' },
        run('d', { code: true }),
      ]),
    ],
  ],
  [
    'nested marks',
    '**a _b_**\n',
    [block('paragraph', [run('a ', { bold: true }), run('b', { bold: true, italic: true })])],
  ],
  ['code with backticks', '``a`b``\n', [block('paragraph', [run('a`b', { code: true })])]],
  [
    'links',
    '[a **b**](u "t") <http://x.y>\n',
    [
      block('paragraph', [
        run('a ', { link: 'u', link_title: 't' }),
        run('b', { bold: true, link: 'u', link_title: 't' }),
        { insert: ' ' },
        run('http://x.y', { link: 'http://x.y' }),
      ]),
    ],
  ],
  ['a link without text', '[](u)\n', [block('paragraph', [run('\uFFFC', { link: 'u' })])]],
  [
    'a link around space',
    '[ ](u "t") [a ](v)[&#10;](w)b\n',
    [
      block('paragraph', [
        run('\uFFFC', { link: 'u', link_title: 't' }),
        { insert: ' ' },
        run('a ', { link: 'v' }),
        run(' \uFFFC', { link: 'w' }),
        { insert: 'b' },
      ]),
    ],
    '[](u "t") [a ](v)[ ](w)b\n',
  ],
  [
    'a mail address that angle brackets do not take',
    'c@d.e_a漢\n',
    [block('paragraph', [run('c@d.e_a', { link: 'mailto:c@d.e_a' }), { insert: '漢' }])],
    '[c@d.e_a](mailto:c@d.e_a)漢\n',
  ],
  [
    'an inline image',
    'a ![b](u "t") ![](v)\n',
    [
      block('paragraph', [
        { insert: 'a ' },
        run('b', { image: 'u', image_title: 't' }),
        { insert: ' ' },
        run('\uFFFC', { image: 'v' }),
      ]),
    ],
  ],
  ['an image block', '![b](u "t")\n', [block('image', [], { url: 'u', caption: 'b', title: 't' })]],
  [
    'an image after a line break',
    '\\\n![](u "t")\n',
    [block('image', [], { url: 'u', title: 't' })],
    '![](u "t")\n',
  ],
  ['an image in a link', '[![a](i)](u)\n', [block('paragraph', [run('a', { image: 'i', link: 'u' })])]],
  [
    'references',
    '[a][L]\n\n[L]: u "t"\n',
    [
      block('paragraph', [run('a', { link: 'u', link_title: 't' })]),
      block('markdown_definition', [], { label: 'L', url: 'u', title: 't' }),
    ],
    '[a](u "t")\n\n[L]: u "t"\n',
  ],
  [
    'a footnote',
    'a[^1]\n\n[^1]: b\n\n    c\n',
    [
      block('paragraph', [{ insert: 'a' }, run('[^1]', { footnote: '1' })]),
      block('markdown_footnote', 'b', { label: '1' }, [block('paragraph', 'c')]),
    ],
  ],
  [
    'entities and escapes',
    '&lt;a&gt; \\*b\\* &#65;\n',
    [block('paragraph', '<a> *b* A')],
    '\\<a> \\*b\\* A\n',
  ],
  [
    'inline HTML',
    'a<br>b\n',
    [block('paragraph', [{ insert: 'a' }, run('<br>', { html: true }), { insert: 'b' }])],
  ],
  ['underline', '<u>a</u> b\n', [block('paragraph', [run('a', { underline: true }), { insert: ' b' }])]],
  [
    'underline that begins in a link',
    '[<u>](u "t")a</u>\n',
    [
      block('paragraph', [
        run('<u>', { html: true, link: 'u', link_title: 't' }),
        { insert: 'a' },
        run('</u>', { html: true }),
      ]),
    ],
  ],
  [
    'block HTML',
    '<div>\n a\n</div>\n\n<!-- b -->\n',
    [block('markdown_html', '<div>\n a\n</div>'), block('markdown_html', '<!-- b -->')],
  ],
  ['rules', 'a\n\n***\n', [block('paragraph', 'a'), block('divider')]],
  ['code', '```js x=1\na\n\n  b\n```\n', [block('code', 'a\n\n  b', { language: 'js', meta: 'x=1' })]],
  ['indented code', '    a\n', [block('code', 'a')], '```\na\n```\n'],
  [
    'a nested list',
    '- a\n  - b\n- c\n',
    [block('bulleted_list', 'a', {}, [block('bulleted_list', 'b')]), block('bulleted_list', 'c')],
  ],
  [
    'a loose list',
    '- a\n\n- b\n',
    [block('bulleted_list', 'a', { loose: true }), block('bulleted_list', 'b')],
  ],
  [
    'a counted list',
    '3. a\n4. b\n',
    [block('numbered_list', 'a', { start: 3 }), block('numbered_list', 'b')],
  ],
  [
    'two lists',
    '- a\n\n* b\n',
    [block('bulleted_list', 'a'), block('bulleted_list', 'b', { new_list: true })],
  ],
  [
    'to-dos',
    '- [ ] a\n- [x] b\n- c\n',
    [block('to_do', 'a'), block('to_do', 'b', { checked: true }), block('bulleted_list', 'c')],
  ],
  [
    'an empty item, one with code',
    '-\n- ```\n  a\n  ```\n',
    [block('bulleted_list'), block('bulleted_list', [], {}, [block('code', 'a')])],
  ],
  ['quotes', '> a\n>\n> > b\n\n> c\n', [block('quote', 'a', {}, [block('quote', 'b')]), block('quote', 'c')]],
  [
    'callouts',
    '> [!WARNING]\n> a\n\n> [!NOTE]\n',
    [block('callout', 'a', { kind: 'WARNING' }), block('callout')],
  ],
  [
    'a table',
    '| a | b |\n| - | :-: |\n| `c` | |\n',
    [
      block('table', [], { align: [null, 'center'] }, [
        row('a', 'b'),
        block('table_row', [], {}, [block('table_cell', [run('c', { code: true })]), block('table_cell')]),
      ]),
    ],
    '| a | b |\n| - | :-: |\n| `c` | |\n',
  ],
  [
    'front matter',
    '---\ntitle: a\n---\n\nb\n',
    [block('markdown_frontmatter', 'title: a'), block('paragraph', 'b')],
  ],
];

/** What only editors write. */
const carried: [name: string, blocks: BlockJson[]][] = [
  [
    'a toggle with children',
    [block('toggle', 'a', { open: true }, [block('paragraph', 'b'), block('bulleted_list', 'c')])],
  ],
  [
    'an unknown type',
    [block('poll', [run('a', { mention: { id: 1 } })], { votes: [1, 2], deep: { x: '-->' } })],
  ],
  ['children of a paragraph', [block('paragraph', 'a', {}, [block('paragraph', 'b')])]],
  [
    'unknown properties',
    [block('to_do', 'a', { checked: true, assignee: 'x' }), block('heading_2', 'b', { color: 'red' })],
  ],
  [
    'color and underline',
    [block('paragraph', [run('a', { color: "r'<>&|" }), run('b', { underline: true, bold: true })])],
  ],
  ['media', [block('video', [], { url: 'http://x.y', caption: 'c' }), block('embed', [], { url: 'u' })]],
  ['an item without text', [block('to_do'), block('bulleted_list', [], {}, [block('paragraph', 'a')])]],
  ['HTML that does not end', [block('markdown_html', '<!-- a'), block('paragraph', 'b')]],
  [
    'a table with more than text',
    [
      block('table', [], {}, [
        block('table_row', [], {}, [block('table_cell', 'a', {}, [block('divider')])]),
      ]),
    ],
  ],
];

function words(text: string): string[] {
  // `<u>` becomes an attribute: its letter is markup, not a word.
  return text.replace(/<\/?u>/g, '').match(/[\p{L}\p{N}]+/gu) ?? [];
}

function lostWords(before: string, after: string): string[] {
  const countByWord = new Map<string, number>();
  for (const word of words(after)) countByWord.set(word, (countByWord.get(word) ?? 0) + 1);
  return words(before).filter((word) => {
    const count = countByWord.get(word) ?? 0;
    countByWord.set(word, count - 1);
    return count <= 0;
  });
}

/** Both promises of import for one document. */
function expectKept(source: string): void {
  const blocks = markdownToBlocks(source);
  expect(markdownToBlocks(blocksToMarkdown(blocks))).toEqual(blocks);
  expect(lostWords(markdownToText(source), blocksToText(blocks))).toEqual([]);
}

function depthOf(blocks: readonly BlockJson[]): number {
  return blocks.reduce((most, { children }) => Math.max(most, 1 + depthOf(children)), 0);
}

describe('forms', () => {
  test.each(forms)('%s', (_, source, blocks, exported) => {
    expect(markdownToBlocks(source)).toEqual(blocks);
    expect(blocksToMarkdown(blocks)).toBe(exported ?? source);
    expectKept(source);
  });

  test.each(carried)('%s survives export and import', (_, blocks) => {
    expect(markdownToBlocks(blocksToMarkdown(blocks))).toEqual(blocks);
  });

  test('an empty paragraph is not exported, space leaves bold text', () => {
    const edited = [block('paragraph'), block('paragraph', [run('a ', { bold: true }), { insert: 'b ' }])];
    expect(blocksToMarkdown(edited)).toBe('**a** b\n');
  });

  test('plain text is readable', () => {
    const source = '# T\n\n2. a\n   - [x] b\n\n| c | d |\n| - | - |\n| e | f |\n\n> [!TIP]\n> g\n\n![h](i)\n';
    expect(blocksToText(markdownToBlocks(source))).toBe('T\n2. a\n  - [x] b\nc | d\ne | f\n> TIP: g\nh\n');
  });
});

const deep = {
  quotes: `${'>'.repeat(10_000)} word`,
  lists: Array.from({ length: 400 }, (_, level) => `${'  '.repeat(level)}- w${level}`).join('\n'),
  markers: `${'- '.repeat(5000)}word`,
  envelopes: `${'<!-- octavo {} -->\n\n'.repeat(300)}word\n\n${'<!-- /octavo -->\n\n'.repeat(300)}`,
  emphasis: '*a **b '.repeat(1000),
  brackets: '['.repeat(5000),
};

describe('limits', () => {
  test.each(Object.entries(deep))('deep %s neither overflow nor lose words', (name, source) => {
    const blocks = markdownToBlocks(source);
    expect(depthOf(blocks)).toBeLessThanOrEqual(64);
    expect(markdownToBlocks(blocksToMarkdown(blocks))).toEqual(blocks);
    // The comments of envelopes are words to the parser only.
    if (name !== 'envelopes') expect(lostWords(markdownToText(source), blocksToText(blocks))).toEqual([]);
  });

  test('a tree of any depth is exported', () => {
    let tree = block('quote', 'innermost');
    for (let level = 0; level < 5000; level += 1) tree = block('quote', 'a', {}, [tree]);
    expect(blocksToMarkdown([tree])).toContain('innermost');
    expect(blocksToText([tree])).toContain('innermost');
  });
});

const tokens = (
  'a|b|word| |  |\n|\n\n|*|**|_|__|~|~~|`|``|```|[|](u)|](u "t")|[x][y]|\n[y]: z "q"\n|![|[^1]|\n[^1]: f\n|<b>|</b>|<u>|</u>|<br>|' +
  '<!--|-->|<div>|&amp;|&#10;|&nbsp;|\\|\\*|\\\n|  \n|# |## |- |* |+ |1. |2) |- [ ] |- [x] |> |    |\t|---|===|a: 1|.|!|:|' +
  'http://x.y|www.a.b|c@d.e|"|(|)|\u00e9|\u6f22|\u{1F600}|\u00a0|\r\n|[!NOTE]|===\n|***\n|\n> |\n- |\n  - |\n1. '
).split('|');
tokens.push('|', '| - |', '|-|-|\n', '| a | b |\n');

const insert = fc.oneof(fc.constantFrom(...tokens, '<!-- q', '1. n', '# h'), fc.string({ maxLength: 6 }));
const value = fc.oneof(insert, fc.boolean(), fc.integer({ min: -1, max: 5 }), fc.constant(null));
const attributeNames = 'bold italic underline strike code color link link_title mention image'.split(' ');
const propNames =
  'url caption title language meta checked start loose new_list ordered align kind label color'.split(' ');
const types = [
  ...forms.flatMap(([, , blocks]) => blocks.map(({ type }) => type)),
  'toggle',
  'video',
  'poll',
  'table_cell',
];
const anyRun = fc.record(
  {
    insert,
    attributes: fc.dictionary(fc.constantFrom(...attributeNames), fc.oneof(fc.constant(true), insert), {
      maxKeys: 3,
    }),
  },
  { requiredKeys: ['insert'] },
) as fc.Arbitrary<TextRun>;
const { tree } = fc.letrec<{ tree: BlockJson }>((tie) => ({
  tree: fc.record({
    type: fc.constantFrom(...types),
    props: fc.dictionary(fc.constantFrom(...propNames), value, { maxKeys: 3 }),
    text: fc.array(anyRun, { maxLength: 3 }),
    children: fc.oneof(
      { maxDepth: 3 },
      fc.constant<BlockJson[]>([]),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }),
}));

describe('properties', () => {
  test('any text is imported, losing no word, as a fixed point of export', () => {
    const source = fc.array(fc.constantFrom(...tokens), { maxLength: 30 }).map((parts) => parts.join(''));
    fc.assert(fc.property(source, expectKept), { numRuns: LONG ? 3000 : 300 });
  });

  test('any block tree is exported, and what was imported from that is a fixed point', () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 4 }), (blocks) => {
        const back = markdownToBlocks(blocksToMarkdown(blocks));
        expect(markdownToBlocks(blocksToMarkdown(back))).toEqual(back);
      }),
      { numRuns: LONG ? 500 : 150 },
    );
  });

  test('the Markdown files of the installed packages are kept', () => {
    const sources = installedMarkdown();
    const failed = sources.filter(({ source }) => {
      const blocks = markdownToBlocks(source);
      const markdown = blocksToMarkdown(blocks);
      const again = JSON.stringify(markdownToBlocks(markdown)) === JSON.stringify(blocks);
      return !again || lostWords(markdownToText(source), blocksToText(blocks)).length > 0;
    });
    expect(failed.map(({ file }) => file)).toEqual([]);
    expect(sources.length).toBeGreaterThan(LONG ? 100 : 30);
  });
});

/** In the order of their paths; the short form takes the small ones until their sum is reached. */
function installedMarkdown(): { file: string; source: string }[] {
  const folder = join(import.meta.dirname, '../../node_modules');
  let budget = LONG ? Infinity : sumCharactersMax;
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.md$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => ({ file, source: readFileSync(file, 'utf8') }))
    .filter(({ source }) => {
      if (source.length > (LONG ? Infinity : fileCharactersMax) || source.length > budget) return false;
      budget -= source.length;
      return true;
    });
}
