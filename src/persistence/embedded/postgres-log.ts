/**
 * `<dataDir>/postgres.log`, where PostgreSQL writes for as long as it lives: a plain file, not a pipe through the
 * server, because a server that dies must not take PostgreSQL's words (or PostgreSQL, by SIGPIPE) with it.
 * Bounded: past `logBytesMax` the text moves to `postgres.log.1` and the file starts again at zero. It is truncated
 * in place, since PostgreSQL holds it open; both write in append mode, so nothing leaves a hole.
 */
import { copyFile, open, stat, truncate } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export const logBytesMax = 4 * 1024 * 1024;
const tailBytesMax = 4_096;

export function postgresLogPath(dataDir: string): string {
  return join(dataDir, 'postgres.log');
}

export function openPostgresLog(dataDir: string): Promise<FileHandle> {
  return open(postgresLogPath(dataDir), 'a', 0o600);
}

export async function boundPostgresLog(dataDir: string, bytesMax = logBytesMax): Promise<void> {
  const path = postgresLogPath(dataDir);
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || info.size <= bytesMax) return;
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
}

/** What was written since the file had `fromByte` bytes: its end, if that is much. */
export async function readPostgresLog(dataDir: string, fromByte: number): Promise<string> {
  const file = await open(postgresLogPath(dataDir), 'r');
  try {
    const { size } = await file.stat();
    const start = Math.max(Math.min(fromByte, size), size - tailBytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
