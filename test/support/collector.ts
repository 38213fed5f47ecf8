/**
 * A collector of traces for tests: an HTTP server that decodes OTLP in its JSON form and keeps the spans, or behaves as bad ones do.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  /** ns since 1970. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status?: { readonly code: number; readonly message: string };
}

export interface Collector {
  readonly url: string;
  readonly spans: CollectedSpan[];
  readonly resource: Record<string, unknown>;
  readonly headers: IncomingMessage['headers'];
  /** All that was sent, as it came. */
  readonly text: string;
  requests: number;
  /** The status to answer with; null: no answer at all. */
  status: number | null;
  close(): Promise<void>;
}

type KeyValue = { key: string; value: Record<string, unknown> };
type WireSpan = Record<string, never> & { attributes: KeyValue[]; links?: CollectedSpan['links'] };

const attributesOf = (list: readonly KeyValue[]) =>
  Object.fromEntries(
    list.map(({ key, value: { stringValue, intValue, boolValue, doubleValue } }) => [
      key,
      stringValue ?? boolValue ?? doubleValue ?? Number(intValue),
    ]),
  );

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const seen = { resource: {}, headers: {} as IncomingMessage['headers'], text: '' };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      collector.requests++;
      const { status } = collector;
      if (status === null) return;
      const text = Buffer.concat(chunks).toString();
      if (request.method !== 'POST' || request.url !== '/v1/traces')
        return void response.writeHead(404).end();
      if (status === 200) take(text, request);
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  const take = (text: string, { headers }: IncomingMessage) => {
    seen.text += text;
    seen.headers = headers;
    const { resourceSpans } = JSON.parse(text) as {
      resourceSpans: { resource: { attributes: KeyValue[] }; scopeSpans: { spans: WireSpan[] }[] }[];
    };
    for (const { resource, scopeSpans } of resourceSpans) {
      seen.resource = attributesOf(resource.attributes);
      for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
        const { startTimeUnixNano, endTimeUnixNano, attributes, links = [], ...rest } = span;
        const times = { start: BigInt(startTimeUnixNano!), end: BigInt(endTimeUnixNano!) };
        spans.push({
          ...(rest as never as CollectedSpan),
          ...times,
          attributes: attributesOf(attributes),
          links,
        });
      }
    }
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    get resource() {
      return seen.resource;
    },
    get headers() {
      return seen.headers;
    },
    get text() {
      return seen.text;
    },
    requests: 0,
    status: 200,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return collector;
}
