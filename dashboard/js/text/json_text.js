/** JSON text for reading: indented, every character of its values as it was sent. */

const PIECE = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;
const INDENT = "  ";

/** Lay out a JSON text; any other text stays as it is. It is not parsed into values, for large numbers would change on the way. */
export function layOut(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let depth = 0;
  const line = (by) => "\n" + INDENT.repeat((depth += by));
  const laidOut = (piece, index, found) => {
    if (piece === ":") return ": ";
    if (piece === ",") return "," + line(0);
    if ("{[".includes(piece)) return "}]".includes(found[index + 1]) ? piece : piece + line(1);
    if ("}]".includes(piece)) return "{[".includes(found[index - 1]) ? piece : line(-1) + piece;
    return piece;
  };
  return (text.match(PIECE) ?? []).map(laidOut).join("");
}
