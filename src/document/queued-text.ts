/**
 * What queued changes will add to the text of one block, as far as the checks of later ones ask: bytes, clocks, and the
 * characters that will show. Characters are counted exactly, but only when clocks alone could pass the limit.
 */
import type { BlockText } from './block-text.ts';
import { ClockRanges } from './clock-ranges.ts';
import type { TextShape } from './text-update.ts';

export class QueuedText {
  #bytes = 0;
  /** Clocks that the queue adds. */
  #added = 0;
  readonly #clocks = new Map<number, number>();
  readonly #shapes: TextShape[] = [];
  /** What the first `#counted` shapes hide, and how much of that the text below did not hide already. */
  #hidden: ClockRanges | null = null;
  #hiddenNews = 0;
  #counted = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The next clock of a client, text and queue together. */
  clockOf(client: number, text: BlockText | null): number {
    return Math.max(text?.clockOf(client) ?? 0, this.#clocks.get(client) ?? 0);
  }

  push(shape: TextShape, bytes: number): void {
    this.#bytes += bytes;
    this.#added += shape.to - shape.from;
    this.#shapes.push(shape);
    if (shape.client !== null) this.#clocks.set(shape.client, shape.to);
  }

  /** Takes back the last that was pushed, of so many bytes. */
  pop(bytes: number): void {
    const { client, from, to } = this.#shapes.pop()!;
    this.#bytes -= bytes;
    this.#added -= to - from;
    if (client !== null) this.#clocks.set(client, from);
    if (this.#counted > this.#shapes.length) this.#countAnew();
  }

  /** The first that was pushed is in the text now; false and no effect if that is another. */
  shift(shape: TextShape, bytes: number): boolean {
    if (this.#shapes[0] !== shape) return false;
    this.#shapes.shift();
    this.#bytes -= bytes;
    this.#added -= shape.to - shape.from;
    if (this.#counted > 0) this.#countAnew();
    return true;
  }

  get isEmpty(): boolean {
    return this.#shapes.length === 0;
  }

  #countAnew(): void {
    this.#hidden = null;
    this.#hiddenNews = this.#counted = 0;
  }

  /** Whether text and queue together will show more than `max` characters. */
  showsMoreThan(max: number, text: BlockText | null): boolean {
    const clocks = (text?.clockSum ?? 0) + this.#added;
    if (clocks <= max) return false;
    for (; this.#counted < this.#shapes.length; this.#counted++)
      this.#count(this.#shapes[this.#counted]!, text);
    return clocks - (text?.hidden.size ?? 0) - this.#hiddenNews > max;
  }

  #count({ hidden }: TextShape, text: BlockText | null): void {
    this.#hidden ??= new ClockRanges();
    for (let i = 0; i < hidden.length; i += 3) {
      const from = hidden[i + 1]!;
      this.#hidden.add(hidden[i]!, from, from + hidden[i + 2]!, (client, start, end) => {
        this.#hiddenNews += end - start - (text?.hidden.covered(client, start, end) ?? 0);
      });
    }
  }
}
