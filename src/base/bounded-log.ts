/**
 * Keeps a flood from filling the disk: of one event so many lines at once and so many a second are written. Of the rest the last
 * is written now and then, with the number of those before it that were not (`suppressed`). Events are told apart by their message
 * and level. What clients cause by the thousand is at debug, where whoever looks wants more of it.
 */
import type { Log } from './log.ts';
import type { Clock } from './time.ts';
import { TokenBucket } from './token-bucket.ts';

type Level = keyof Log;

/** [each second, at once] */
const RATES: Record<Level, readonly [number, number]> = {
  debug: [100, 500],
  info: [2, 50],
  warn: [2, 50],
  error: [2, 50],
};
const TELL_MS = 10_000;

interface Event {
  readonly bucket: TokenBucket;
  suppressed: number;
  last: object;
}

export function boundedLog(log: Log, clock: Clock): Log {
  const writer = (level: Level) => {
    const events = new Map<string, Event>();
    const tell = (event: Event, message: string) => {
      log[level]({ ...event.last, suppressed: event.suppressed - 1 }, message);
      event.suppressed = 0;
      event.last = {};
    };
    return (fields: object, message: string) => {
      const now = clock.monotonic();
      let event = events.get(message);
      if (!event)
        events.set(
          message,
          (event = { bucket: new TokenBucket(...RATES[level], now), suppressed: 0, last: {} }),
        );
      if (event.suppressed === 0 && event.bucket.take(now) === 0) return log[level](fields, message);
      event.last = fields;
      if (event.suppressed++ === 0) clock.after(TELL_MS, () => tell(event, message));
    };
  };
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') };
}
