/**
 * REDIS_URL in all its forms.
 */
import { expect, test } from 'vitest';
import { ConfigError, readConfig } from '../config.ts';
import { parseRedisAddress } from './redis-address.ts';

test.each([
  ['redis://localhost', { form: 'server', servers: [{ host: 'localhost', port: 6379 }], tls: false }],
  ['redis://127.0.0.1:7000/0', { form: 'server', servers: [{ host: '127.0.0.1', port: 7000 }], tls: false }],
  [
    'rediss://octavo:p%40ss%3Aw@redis.example:80',
    {
      form: 'server',
      servers: [{ host: 'redis.example', port: 80 }],
      tls: true,
      username: 'octavo',
      password: 'p@ss:w',
    },
  ],
  [
    'redis://:secret@[::1]:6380',
    { form: 'server', servers: [{ host: '::1', port: 6380 }], tls: false, password: 'secret' },
  ],
  [
    'redis+sentinel://one:1,two/mymaster',
    {
      form: 'sentinel',
      servers: [
        { host: 'one', port: 1 },
        { host: 'two', port: 26379 },
      ],
      tls: false,
      master: 'mymaster',
    },
  ],
  [
    'rediss+sentinel://u:p@one/m?sentinelUsername=s&sentinelPassword=t%26',
    {
      form: 'sentinel',
      servers: [{ host: 'one', port: 26379 }],
      tls: true,
      username: 'u',
      password: 'p',
      master: 'm',
      sentinelUsername: 's',
      sentinelPassword: 't&',
    },
  ],
  [
    'redis+cluster://a:7000,b:7001,c',
    {
      form: 'cluster',
      servers: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 7001 },
        { host: 'c', port: 6379 },
      ],
      tls: false,
    },
  ],
])('S104 REDIS_URL %s', (text, address) => {
  expect(parseRedisAddress(text)).toEqual(address);
});

test.each([
  '',
  'localhost:6379',
  'http://localhost',
  'redis://',
  'redis://a,b',
  'redis://host:0',
  'redis://host:99999',
  'redis://:s3cret@host/name',
  'redis://us%er@host',
  'redis+sentinel://host:26379',
  'redis+cluster://a,,b',
  'redis+ssh://host',
])('S104 REDIS_URL %s is refused by name, and is not repeated', (text) => {
  expect(parseRedisAddress(text)).toBeUndefined();
  const read = () => readConfig({ REDIS_URL: text });
  if (text === '') return expect(read().redis).toBeNull();
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(/^REDIS_URL /);
  expect(read).not.toThrow('s3cret');
});
