/** Histograms as a few bars. Pure. */

const GROWTH = 1.1;

/**
 * The buckets of a histogram of the API, put together to at most `most` bars of one width on a logarithmic axis: each with its
 * number of `calls`, also those without any between others, and the `upTo` of its last bucket.
 *
 * @param {{up_to: number, calls: number}[]} buckets each at most a tenth wider than the one before, those without calls left out.
 */
export function barsOf(buckets, most = 24) {
  if (!buckets.length) return [];
  const places = buckets.map(({ up_to: end }) => Math.round(Math.log(Math.max(end, 1)) / Math.log(GROWTH)));
  const first = places[0];
  const step = Math.ceil((places.at(-1) - first + 1) / most);
  const bars = Array.from({ length: Math.floor((places.at(-1) - first) / step) + 1 }, (_, index) => ({ upTo: GROWTH ** (first + step * (index + 1) - 1), calls: 0 }));
  buckets.forEach(({ calls }, index) => {
    bars[Math.floor((places[index] - first) / step)].calls += calls;
  });
  return bars;
}
