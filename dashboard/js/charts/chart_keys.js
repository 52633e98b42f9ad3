/** Where a key leads on a chart. Pure. */

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * What a key does: null if nothing, `{at, anchor}` the bucket that it leads to and the other end of the range that it chooses
 * (null without one), or `{picked: [first, last]}`, the buckets that are to be shown.
 *
 * @param {{key: string, shiftKey: boolean}} event
 * @param {{at: number | null, anchor: number | null, length: number}} where the bucket before; null if there is none.
 */
export function walk({ key, shiftKey }, { at, anchor, length }) {
  const last = length - 1;
  if (key === "Enter") return at === null ? null : { picked: anchor === null ? [at, at] : [Math.min(at, anchor), Math.max(at, anchor)] };
  if (key === "Home") return { at: 0, anchor: null };
  if (key === "End") return { at: last, anchor: null };
  if (!Object.hasOwn(STEPS, key)) return null;
  if (at === null) return { at: STEPS[key] > 0 ? 0 : last, anchor: null };
  return { at: Math.min(last, Math.max(0, at + STEPS[key])), anchor: shiftKey ? (anchor ?? at) : null };
}
