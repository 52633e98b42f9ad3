/** What a browser says of itself, in words for people. Pure. */

// The first that is in it counts: most claim to be others besides.
const BROWSERS = [
  ["Edg", "Edge"],
  ["OPR/", "Opera"],
  ["Firefox/", "Firefox"],
  ["FxiOS/", "Firefox"],
  ["CriOS/", "Chrome"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
];
const SYSTEMS = [
  ["Android", "Android"],
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Windows", "Windows"],
  ["Mac OS X", "macOS"],
  ["CrOS", "ChromeOS"],
  ["Linux", "Linux"],
];

/** Name browser and system, as `Firefox on Linux`; anything else by its first word. */
export function browserName(userAgent) {
  const find = (names) => names.find(([mark]) => userAgent.includes(mark))?.[1];
  const browser = find(BROWSERS) ?? (userAgent.trim().split(/[\s/(]/)[0] || "An unknown program");
  const system = find(SYSTEMS);
  return system ? `${browser} on ${system}` : browser;
}
