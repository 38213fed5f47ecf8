/**
 * The settings of an OTLP exporter as OpenTelemetry's standard variables hold them. Pure.
 */

export interface TracingConfig {
  /** Where traces are sent. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of changes, joins and requests, 0…1. */
  readonly ratio: number;
  /** What the server is called in traces. */
  readonly service: string;
}

/** A name as HTTP allows it. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** `name=value,…`, values URL-encoded; undefined: it is not of that shape. */
export function parseOtlpHeaders(text: string): Record<string, string> | undefined {
  const headers: Record<string, string> = {};
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, at)).trim().toLowerCase();
    const value = decoded(pair.slice(at + 1).trim());
    // eslint-disable-next-line no-control-regex
    if (!NAME.test(name) || value === undefined || /[^\t\u0020-\u007e\u0080-\u00ff]/.test(value))
      return undefined;
    headers[name] = value;
  }
  return headers;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // A % that begins nothing.
    return undefined;
  }
}

/** Where traces go to at a collector's address. */
export function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  return url.href;
}
