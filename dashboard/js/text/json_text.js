/** JSON text for reading: indented, every character of its values as it was sent. */

const compact = (text) => text.replace(/\s/g, "");

/** Lay out a JSON text; any other text stays as it is, and so does one that a program reads otherwise: a number may be too large for it. */
export function layOut(text) {
  try {
    const shown = JSON.stringify(JSON.parse(text), null, 2);
    return compact(shown) === compact(text) ? shown : text;
  } catch {
    return text;
  }
}
