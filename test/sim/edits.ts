/**
 * What the people of a run do to a page: every kind of edit, in small trees and short texts, so that they meet. Each value
 * of a prop is written once in a run: it names its write, and shows which one its writer had seen.
 */
import { OctavoError, type BlockView, type Page } from '../../src/client/index.ts';
import type { BlockId, PageId } from '../../src/protocol/ids.ts';
import type { Dice } from './dice.ts';
import type { Journal } from './journal.ts';

const TYPES = ['paragraph', 'to_do', 'quote'];
const KEYS = ['a', 'b'];
const WORDS = ['x', 'yes ', 'βή', '🙂', 'no', ' ', 'long words '];

export interface Hand {
  readonly page: Page;
  readonly id: PageId;
  readonly dice: Dice;
  readonly journal: Journal;
  /** Blocks that this person deleted. */
  readonly deleted: string[];
}

/** Some block of the page, root excluded: a walk down. */
function someBlock({ page, dice }: Hand): BlockView | undefined {
  let at = page.root;
  for (let depth = 0; depth < 4; depth++) {
    const { children } = at;
    if (children.length === 0 || (depth > 0 && dice.chance(0.5))) break;
    at = dice.pick(children);
  }
  return at.id === page.root.id ? undefined : at;
}

/** Makes one edit. False if it could not be made here (a limit, a page that is closed). */
export function makeEdit(hand: Hand): boolean {
  try {
    if (hand.dice.chance(0.06)) hand.page.transact(() => [1, 2, 3].forEach(() => oneEdit(hand)));
    else oneEdit(hand);
    return true;
  } catch (error) {
    // Expected: the SDK refuses what it knows the server would.
    if (error instanceof OctavoError) return false;
    throw error;
  }
}

function oneEdit(hand: Hand): void {
  const { page, dice, journal, id, deleted } = hand;
  const kind = dice.below(100);
  const block = someBlock(hand);
  if (!block || kind < 12) {
    const parent = block && dice.chance(0.4) ? block.id : page.root.id;
    const text = dice.chance(0.6) ? dice.pick(WORDS) : '';
    const children = dice.chance(0.1) ? [{ type: 'quote', text: dice.pick(WORDS) }] : [];
    page.insert({
      type: dice.pick(TYPES),
      parent,
      text,
      props: { a: journal.token(page.replica) },
      children,
    });
  } else if (kind < 45) typeText(hand, block.id);
  else if (kind < 68) {
    const target = dice.chance(0.3) ? page.root : block;
    const key = dice.pick(KEYS);
    const seen = target.props[key];
    const token = journal.token(page.replica);
    page.update(target.id, { [key]: token }, dice.chance(0.15) ? dice.pick(TYPES) : undefined);
    journal.wrote({ page: id, block: target.id, key, token, seen: typeof seen === 'string' ? seen : null });
  } else if (kind < 84) move(hand, block);
  else if (kind < 89) {
    page.delete(block.id);
    deleted.push(block.id);
  } else if (kind < 92) {
    const back = deleted.splice(dice.below(deleted.length + 1), 1)[0];
    if (back) page.restore(back);
  } else if (kind < 97) page.undo();
  else page.redo();
}

function move(hand: Hand, block: BlockView): void {
  const { page, dice } = hand;
  const target = dice.chance(0.3) ? page.root : (someBlock(hand) ?? page.root);
  // A move below itself is refused by the SDK before it is made; here it is simply not tried.
  for (let up: BlockView | null = target; up; up = up.parent) if (up.id === block.id) return;
  const { children } = target;
  const after = children.length > 0 && dice.chance(0.5) ? dice.pick(children).id : null;
  if (after !== block.id) page.move(block.id, { parent: target.id, after });
}

/** Edits begin and end between characters, as every editor's do. */
function characterStart(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code < 0xe000 ? at - 1 : at;
}

function typeText({ page, dice }: Hand, id: BlockId): void {
  const text = page.text(id);
  const plain = text.toString();
  const at = characterStart(plain, dice.below(plain.length + 1));
  const end = characterStart(plain, Math.min(plain.length, at + 2));
  const kind = dice.below(10);
  if (kind < 6 || end <= at) text.insert(at, dice.pick(WORDS));
  else if (kind < 8) text.delete(at, end - at);
  else text.format(at, end - at, { bold: kind === 8 ? true : null });
}
