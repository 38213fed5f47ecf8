/**
 * A tiny typed emitter. A listener that throws must not break the client in the middle of applying a change: its error
 * is handed to `reportError` where the platform has it (browsers), else rethrown in a microtask of its own, so that it
 * surfaces as an uncaught error and is not swallowed.
 */

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` at every event of this name. Returns what takes it off again. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    let listeners = this.#listeners.get(name);
    if (!listeners) this.#listeners.set(name, (listeners = new Set()));
    listeners.add(listener);
    return () => this.off(name, listener);
  }

  off<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void {
    this.#listeners.get(name)?.delete(listener);
  }

  /** Whether anybody listens: lets a hot path skip building an event. */
  has(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const listeners = this.#listeners.get(name);
    if (!listeners || listeners.size === 0) return;
    for (const listener of [...listeners] as ((event: Events[Name]) => void)[]) {
      try {
        listener(event);
      } catch (error) {
        // The application's bug: it must surface, but not here.
        surface(error);
      }
    }
  }
}

function surface(error: unknown): void {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
