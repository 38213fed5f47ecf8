/**
 * The metrics of all threads as one. A thread that was started anew counts from 0 again, and one that hangs does not answer
 * at all; the sum of a counter must not go down for that, or Prometheus takes it for a restart of the node and counts all
 * the other threads' past a second time. So what a shard last told of its counters stays in the sum.
 */
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue } from 'prom-client';

export type MetricList = readonly MetricObjectWithValues<MetricValue<string>>[];

const onlyCounts = (metrics: MetricList): MetricList =>
  // As text: prom-client's types call it a number, its JSON does not.
  metrics.filter(({ type }) => ['counter', 'histogram'].includes(String(type)));

const sum = (lists: readonly MetricList[]) => AggregatorRegistry.aggregate(lists as never);

export class MergedMetrics {
  readonly #lastByShard = new Map<number, MetricList>();
  /** Of threads that have ended. */
  #past: MetricList[] = [];

  /** The shard's thread has ended: the next one begins at 0. */
  ended(shard: number): void {
    const last = this.#lastByShard.get(shard);
    if (last) this.#past.push(last);
    this.#lastByShard.delete(shard);
  }

  /** In Prometheus' text format. `answers`: what each shard tells now; undefined for one that does not answer. */
  async merge(own: MetricList, answers: readonly (MetricList | undefined)[]): Promise<string> {
    const lists = answers.map((answer, shard) => {
      if (answer) this.#lastByShard.set(shard, onlyCounts(answer));
      return answer ?? this.#lastByShard.get(shard) ?? [];
    });
    const text = await sum([own, ...lists, ...this.#past]).metrics();
    await this.#foldPast();
    return text;
  }

  async #foldPast(): Promise<void> {
    const known = [...this.#past];
    if (known.length < 2) return;
    const folded = (await sum(known).getMetricsAsJSON()) as unknown as MetricList;
    // Another scrape may have done it meanwhile; and another thread may have ended.
    if (this.#past[0] === known[0]) this.#past = [folded, ...this.#past.slice(known.length)];
  }
}
