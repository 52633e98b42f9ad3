/** JSON text for reading: indented and cut into pieces by kind, every character of its values as it was sent. */

const PIECE = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;
const INDENT = "  ";

/**
 * Lay out a JSON text. It is not parsed into values, for large numbers would change on the way.
 *
 * @param {string} text
 * @returns {{kind: "key" | "string" | "number" | "word" | "mark", text: string}[] | null} null if it is not JSON.
 */
export function layOut(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const found = text.match(PIECE) ?? [];
  const pieces = [];
  let depth = 0;
  found.forEach((piece, index) => {
    const next = found[index + 1];
    if (piece === "{" || piece === "[") {
      const empty = next === "}" || next === "]";
      depth += 1;
      pieces.push(mark(piece + (empty ? "" : line(depth))));
    } else if (piece === "}" || piece === "]") {
      depth -= 1;
      const empty = found[index - 1] === "{" || found[index - 1] === "[";
      pieces.push(mark((empty ? "" : line(depth)) + piece));
    } else if (piece === ",") {
      pieces.push(mark("," + line(depth)));
    } else if (piece === ":") {
      pieces.push(mark(": "));
    } else {
      pieces.push({ kind: kindOf(piece, next), text: piece });
    }
  });
  return pieces;
}

function mark(text) {
  return { kind: "mark", text };
}

function line(depth) {
  return "\n" + INDENT.repeat(depth);
}

function kindOf(piece, next) {
  if (piece.startsWith('"')) return next === ":" ? "key" : "string";
  return /^[-\d]/.test(piece) ? "number" : "word";
}
