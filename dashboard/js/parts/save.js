/** Files that the page makes itself. */

/** Have the browser keep a table as a file of this name. */
export function saveCsv(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
