/**
 * Who may bring a page into being that does not exist: pure. Those who asked for it with a model that this server has,
 * and may write; the others are told why not.
 */
import type { Code } from '../protocol/codes.ts';
import { mayWrite } from '../protocol/messages.ts';
import type { SubscribeRequest, Subscriber } from './world.ts';

interface Refused {
  readonly subscriber: Subscriber;
  readonly code: Code;
  readonly message: string;
}

export function sortBirths(waiting: readonly SubscribeRequest[]): {
  creators: SubscribeRequest[];
  refused: Refused[];
} {
  const creators: SubscribeRequest[] = [];
  const refused: Refused[] = [];
  for (const request of waiting) {
    const { create, subscriber } = request;
    if (create === 'blocks' && mayWrite(subscriber.role)) creators.push(request);
    else if (create !== null && create !== 'blocks') {
      const message = `this server has no model "${create}"; it has "blocks"`;
      refused.push({ subscriber, code: 'unsupported', message });
    } else {
      const message = 'there is no such page, or it is not yours to create';
      refused.push({ subscriber, code: 'unknown_page', message });
    }
  }
  return { creators, refused };
}
