/**
 * Random edits of all kinds through the SDK, from a seed: what a busy person does to a page, in `octavo chaos` and in tests.
 */
import { type Random, randomBelow } from '../base/random.ts';
import { type BlockView, OctavoError, type Page } from '../client/index.ts';

const TYPES = ['paragraph', 'heading_1', 'bulleted_list', 'to_do', 'quote', 'toggle'];
const WORDS = ['alpha ', 'βήτα ', 'gamma', '🙂', 'delta ', ' ', 'épsilon'];

function pick<T>(random: Random, items: readonly T[]): T {
  return items[randomBelow(random, items.length)]!;
}

/** Some blocks of the page, root excluded: a random walk down, so that large pages cost no more than small ones. */
function someBlock(page: Page, random: Random): BlockView | undefined {
  let at = page.root;
  for (let depth = 0; depth < 4; depth++) {
    const { children } = at;
    if (children.length === 0 || (depth > 0 && randomBelow(random, 2) === 0)) break;
    at = pick(random, children);
  }
  return at.id === page.root.id ? undefined : at;
}

/** Makes one random edit. `deleted` remembers ids, so that some come back. */
export function randomEdit(page: Page, random: Random, deleted: string[]): void {
  const block = someBlock(page, random);
  const dice = randomBelow(random, 100);
  if (!block || dice < 12) {
    const parent = block && randomBelow(random, 3) === 0 ? block.id : page.root.id;
    page.insert({ type: pick(random, TYPES), parent, text: pick(random, WORDS), props: { mark: dice } });
  } else if (dice < 60) typeText(page, block.id, random);
  else if (dice < 75) {
    const type = randomBelow(random, 4) === 0 ? pick(random, TYPES) : undefined;
    page.update(block.id, { [pick(random, ['color', 'checked', 'mark'])]: randomBelow(random, 9) }, type);
  } else if (dice < 85) {
    const target = randomBelow(random, 2) === 0 ? page.root : (someBlock(page, random) ?? page.root);
    // A move below itself is refused by the SDK before it is made; here it is simply not tried.
    for (let up: BlockView | null = target; up; up = up.parent) if (up.id === block.id) return;
    const { children } = target;
    const after = children.length > 0 && randomBelow(random, 2) === 0 ? pick(random, children).id : null;
    if (after !== block.id) page.move(block.id, { parent: target.id, after });
  } else if (dice < 91) {
    page.delete(block.id);
    deleted.push(block.id);
  } else if (dice < 94 && deleted.length > 0) {
    try {
      page.restore(deleted.splice(randomBelow(random, deleted.length), 1)[0]!);
    } catch (error) {
      // A block that was told before its commit, and was lost with its server.
      if (!(error instanceof OctavoError) || error.code !== 'gone') throw error;
    }
  } else if (dice < 97) page.undo();
  else page.redo();
}

/**
 * The start of the character at `at`. Edits begin and end between characters, as every editor's do: Yjs puts U+FFFD for
 * both halves of a surrogate pair that is split, even where the split leads to no edit that others would hear of.
 */
function characterStart(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code < 0xe000 ? at - 1 : at;
}

function typeText(page: Page, id: string, random: Random): void {
  const text = page.text(id);
  const plain = text.toString();
  const dice = randomBelow(random, 10);
  const at = characterStart(plain, randomBelow(random, plain.length + 1));
  const end = characterStart(plain, Math.min(plain.length, at + 2));
  if (dice < 6 || end <= at) text.insert(at, pick(random, WORDS));
  else if (dice < 8) text.delete(at, end - at);
  else text.format(at, end - at, { bold: dice === 8 ? true : null });
}
