/**
 * One block of a page as its table holds it: registers with their stamps, and its text. What hangs below it the table knows.
 */
import type { JsonValue } from '../base/json.ts';
import type { BlockId } from '../protocol/ids.ts';
import type { BlockText } from './block-text.ts';
import { type Stamp, wins } from './hlc.ts';
import type { PropWrite } from './ops.ts';
import type { StateHash } from './state-hash.ts';

export interface PropRegister {
  /** null: removed; the stamp stays. */
  readonly value: JsonValue;
  readonly stamp: Stamp;
  readonly bytes: number;
  /** Of key and value. */
  readonly hash: number;
}

export interface Block {
  readonly id: BlockId;
  /** 0: not asked for yet. */
  idHash: number;
  type: string;
  typeStamp: Stamp;
  /** null for the root only. */
  parent: BlockId | null;
  key: string;
  placeStamp: Stamp;
  deleted: boolean;
  deletedStamp: Stamp;
  /** Written by `writeProps` only: blocks without props share one empty Map. */
  props: Map<string, PropRegister>;
  propsBytes: number;
  text: BlockText | null;
}

export const NO_PROPS: Map<string, PropRegister> = new Map();

export function emptyBlock(
  id: BlockId,
  type: string,
  parent: BlockId | null,
  key: string,
  stamp: Stamp,
): Block {
  return {
    id,
    idHash: 0,
    type,
    typeStamp: stamp,
    parent,
    key,
    placeStamp: stamp,
    deleted: false,
    deletedStamp: stamp,
    props: NO_PROPS,
    propsBytes: 0,
    text: null,
  };
}

/** `state`: the hash that these registers are in. */
export function writeProps(
  block: Block,
  writes: readonly PropWrite[],
  stamp: Stamp,
  state: StateHash | null,
): boolean {
  let applied = false;
  for (const { key, value, bytes, hash } of writes) {
    const current = block.props.get(key);
    if (current && !wins(stamp, current.stamp)) continue;
    const register = { value, stamp, bytes, hash };
    if (block.props === NO_PROPS) block.props = new Map();
    block.props.set(key, register);
    block.propsBytes += bytes - (current?.bytes ?? 0);
    if (current) state?.toggleProp(block, current);
    state?.toggleProp(block, register);
    applied = true;
  }
  return applied;
}
