/**
 * What each error of PostgreSQL is taken for: worth another try or not, and whether its connection is kept.
 */
import pg from 'pg';
import { expect, test } from 'vitest';
import { leavesConnectionUsable, toStoreError } from './store-error.ts';

function databaseError(code: string, severity = 'ERROR'): pg.DatabaseError {
  const error = new pg.DatabaseError('it says why', 0, 'error');
  return Object.assign(error, { code, severity });
}

test.each([
  ['connection lost, protocol broken', ['08000', '08003', '08006', '08P01']],
  ['serialization failure, deadlock', ['40001', '40P01']],
  ['out of connections, disk, memory', ['53100', '53200', '53300']],
  ['shut down, crashed, starting, cancelled', ['57P01', '57P02', '57P03', '57014']],
  ['a head that somebody holds', ['55P03']],
  ['read-only: a standby, or a primary about to be one', ['25006']],
  ['the disk', ['58000', '58030']],
])('C110 %s: worth another try', (_, codes) => {
  for (const code of codes) expect(toStoreError(databaseError(code), 'append')).toMatchObject({ code, retryable: true });
}); // prettier-ignore

test('C110 what has no SQLSTATE is the way to the database', () => {
  for (const message of ['connect ECONNREFUSED', 'Connection terminated unexpectedly', 'read ECONNRESET'])
    expect(toStoreError(new Error(message), 'append')).toMatchObject({ code: 'connection', retryable: true });
  expect(toStoreError(new Error('Query read timeout'), 'append')).toMatchObject({
    code: 'timeout',
    retryable: true,
  });
});

test('C110 what speaks of data, rights or tables is final', () => {
  for (const code of ['22021', '23505', '42501', '42P01', '28P01', '3D000'])
    expect(toStoreError(databaseError(code), 'append')).toMatchObject({ code, retryable: false });
});

test('S21 a connection is kept where only the statement was undone; else the next query makes another', () => {
  for (const code of ['40001', '40P01', '55P03', '57014', '23505'])
    expect(leavesConnectionUsable(databaseError(code)), code).toBe(true);
  // A server that has become a standby, or is going down, is not to be asked again by this way.
  for (const code of ['25006', '57P01', '53100', '08006', '0A000'])
    expect(leavesConnectionUsable(databaseError(code)), code).toBe(false);
  expect(leavesConnectionUsable(databaseError('40001', 'FATAL'))).toBe(false);
  expect(leavesConnectionUsable(new Error('read ECONNRESET'))).toBe(false);
});
