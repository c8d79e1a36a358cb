// Reading the packed parts of the page, and putting text that came from a model into it.

const byId = (id) => document.getElementById(id);

/** Read a packed part: base64 of gzip of JSON. */
async function unpack(id) {
  const binary = atob(byId(id).textContent.trim());
  const bytes = new Uint8Array(binary.length);
  for (let place = 0; place < binary.length; place += 1) bytes[place] = binary.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// Characters that change how the text around them is shown, or cannot be seen; with half pairs.
const ACTING =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;

/** Add text to a node: as text, with acting characters shown as their codes. */
function addText(node, text) {
  let from = 0;
  for (const match of text.matchAll(ACTING)) {
    node.append(text.slice(from, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    const mark = document.createElement("span");
    mark.className = "code";
    mark.textContent = `U+${code}`;
    node.append(mark);
    from = match.index + match[0].length;
  }
  node.append(text.slice(from));
}

/** Return the part of an address that names a sample; half pairs cannot stand in one. */
function linkTo(set, id) {
  return `#sample=${set}/${encodeURIComponent(id.toWellFormed())}`;
}

/** Make an element. Strings among the children are text, never markup. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined) continue;
    if (child instanceof Node) node.append(child);
    else addText(node, String(child));
  }
  return node;
}
