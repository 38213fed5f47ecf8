/** What a client makes of what it hears: once, in order, without a hole. */
import { expect, test } from 'vitest';
import { Hearing } from './hearing.ts';

function listen() {
  const said: string[] = [];
  const hearing = new Hearing(2, {
    seen: (writer, n) => said.push(`seen ${writer}/${n}`),
    wrong: (what, writer, n) => said.push(`${what} ${writer}/${n}`),
  });
  return { hearing, said };
}

test('a change is seen once, and durable once, by whichever way it comes', () => {
  const { hearing, said } = listen();
  hearing.logged(0, 1);
  hearing.volatile(1, 1);
  hearing.volatile(1, 1);
  hearing.logged(1, 1);
  expect(said).toEqual(['seen 0/1', 'seen 1/1']);
});

test('what is told twice or left out is noticed', () => {
  const { hearing, said } = listen();
  hearing.logged(0, 1);
  hearing.logged(0, 1);
  hearing.logged(0, 3);
  expect(said).toEqual(['seen 0/1', 'doubled 0/1', 'skipped 0/3', 'seen 0/3']);
});

test('after a snapshot the next number is taken as it is', () => {
  const { hearing, said } = listen();
  hearing.forget();
  hearing.logged(1, 7);
  hearing.logged(1, 8);
  expect(said).toEqual(['seen 1/7', 'seen 1/8']);
});
