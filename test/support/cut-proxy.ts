/**
 * A TCP proxy whose connections can be cut without a word, as a train in a tunnel does, or frozen, as by a stopped peer.
 */
import { Link } from '../../src/chaos/link.ts';

export interface CutProxy {
  readonly port: number;
  /** Resets every connection through it. */
  cut(): void;
  /** The connections of now stay open, and nothing passes any more; new ones are not concerned. */
  freeze(): void;
  close(): Promise<void>;
}

export async function openCutProxy(targetPort: number): Promise<CutProxy> {
  const link = await Link.open(() => [targetPort]);
  return {
    port: link.port,
    cut: () => link.reset(),
    freeze: () => link.mute(),
    close: async () => link.close(),
  };
}
