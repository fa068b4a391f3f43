/* What the page asks of the endpoint. Addresses are relative: it may not be the only one of its host. */

/** An error as the endpoint gives it; `retryAfter` in seconds, null if it does not say. */
export class Refused extends Error {
  constructor({ code, message, hint, request_id: requestId }, status, retryAfter) {
    super(message);
    Object.assign(this, { code, hint, requestId, status, retryAfter });
  }
}

/** GET /v1/models: what there is, the default one among it. */
export async function models(key) {
  return (await answered("v1/models", { headers: access(key) })).models;
}

/** POST /v1/detect, the bytes as they are: boxes, points and maps. */
export async function detect(blob, model, key) {
  const headers = { ...access(key), "Content-Type": typeOf(blob) };
  return answered(detectPath(model), { method: "POST", body: blob, headers });
}

/** The address of a request for boxes, points and maps, or with other options. */
export function detectPath(model, options = { return: "boxes,points,map" }) {
  const query = new URLSearchParams({ ...(model && { model }), ...options });
  const text = query.toString().replaceAll("%2C", ",");
  return text ? `v1/detect?${text}` : "v1/detect";
}

/** What the endpoint is told that a file is; it looks for itself. */
export function typeOf(blob) {
  return blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
}

function access(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    const message = "the endpoint does not answer";
    throw new Refused({ code: "unreachable", message, hint: "see whether it runs, then try again" }, 0, null);
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  throw new Refused(errorIn(text, response.status), response.status, secondsIn(response));
}

/* A proxy between here and the endpoint may answer with anything. */
function errorIn(text, status) {
  try {
    const { error } = JSON.parse(text);
    if (typeof error.message === "string") return error;
  } catch {
    // not of the endpoint's kind: said below
  }
  return { code: "failed", message: `the request failed with status ${status}`, hint: "try again later" };
}

function secondsIn(response) {
  const given = response.headers.get("Retry-After");
  return given !== null && /^\d+$/.test(given) ? Number(given) : null;
}
