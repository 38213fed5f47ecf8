/**
 * How a link is written: as `<address>` where that is read as the same link, else as `[text](address)`.
 *
 * The serializer takes angle brackets for every link whose text is its address. But they hold fewer addresses
 * than are linked where they stand bare in the text: `c@d.e_f` is a link, while `<c@d.e_f>` is that link
 * between two brackets that have become text. Called by blocks-to-markdown.ts.
 */
import type { Link, Parents } from 'mdast';
import { type Info, type State, defaultHandlers } from 'mdast-util-to-markdown';

/** What angle brackets hold, by CommonMark: an address with its scheme, or a mail address. */
const inBrackets =
  /^(?:[a-z][a-z\d+.-]{1,31}:.*|[a-z\d.!#$%&'*+/=?^_`{|}~-]+@[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?)*)$/i;

/** The serializer's own handler, kept from brackets that would not be read back. */
export function writeLink(node: Link, parent: Parents | undefined, state: State, info: Info): string {
  return defaultHandlers.link(node, parent, stateFor(node, state), info);
}

/** What the link will begin with; what stands before it is escaped accordingly. */
writeLink.peek = (node: Link, parent: Parents | undefined, state: State): string =>
  defaultHandlers.link.peek(node, parent, stateFor(node, state));

function stateFor(node: Link, state: State): State {
  const [text] = node.children;
  if (text?.type !== 'text' || inBrackets.test(text.value)) return state;
  return { ...state, options: { ...state.options, resourceLink: true } };
}
