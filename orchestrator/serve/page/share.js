/* What can be taken along: JSON, a command, a picture. */

import { detectPath, typeOf } from "./api.js";

/** Text into the clipboard; whether that was allowed. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByHand(text); // outside of https and localhost there is no clipboard to ask
  }
}

function copiedByHand(text) {
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

/** The answer as JSON, with the boxes and classes that are shown. */
export function jsonOf(answer, shown) {
  const { request_id, model, width, height, orientation } = answer;
  const { detections, classes } = shown;
  return JSON.stringify({ request_id, model, width, height, orientation, detections, classes }, null, 2);
}

/** A command for a shell that asks for what is shown; a key is never part of it. */
export function curlOf({ name, blob }, model, options, hasKey) {
  const parts = ["curl", "--data-binary", quoted(`@${name}`), "-H", quoted(`Content-Type: ${typeOf(blob)}`)];
  if (hasKey) parts.push("-H", '"Authorization: Bearer $WSOL_KEY"');
  return [...parts, quoted(new URL(detectPath(model, options), document.baseURI).href)].join(" ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Let the browser save a canvas as a PNG file. */
export function save(canvas, name) {
  // Not toBlob: that waits for a browser with nothing else to do, for seconds if need be.
  const text = atob(canvas.toDataURL("image/png").split(",")[1]);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  link.download = `${name.replace(/\.\w+$/, "")}-boxes.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
