// Requests to the server this page came from, with the key that the user gave.

const STORED = "et-agent-key";

export class ApiError extends Error {
  constructor(error) {
    super(error.message);
    this.code = error.code;
  }
}

const keyed = () => document.documentElement.dataset.key === "needed";
let asking = null;

/** Let the user type the key; who asks meanwhile waits for the same one. */
function askForKey(refused) {
  asking ??= new Promise((given) => {
    const dialog = document.getElementById("key"), text = document.getElementById("key-text");
    document.getElementById("key-why").hidden = !refused;
    const again = (event) => event.preventDefault(); // nothing can be done without a key
    const done = () => {
      dialog.removeEventListener("cancel", again);
      sessionStorage.setItem(STORED, text.value.trim());
      text.value = "";
      asking = null;
      given();
    };
    dialog.addEventListener("cancel", again);
    dialog.addEventListener("close", done, { once: true });
    dialog.showModal();
  });
  return asking;
}

async function request(path, body, signal) {
  if (keyed() && !sessionStorage.getItem(STORED)) await askForKey(false);
  const headers = keyed() ? { Authorization: `Bearer ${sessionStorage.getItem(STORED)}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST", body: JSON.stringify(body), headers, signal, cache: "no-store",
  });
  if (response.status === 401 && keyed()) {
    sessionStorage.removeItem(STORED);
    await askForKey(true);
    return request(path, body, signal);
  }
  if (!response.ok) throw new ApiError((await response.json()).error);
  return response;
}

/** The JSON of a reply; POST with a body, else GET. */
export async function json(path, body) {
  return (await request(path, body)).json();
}

/** The JSON of each event of a stream, until its last one. */
export async function* events(path, body, signal) {
  const response = await request(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data: ")); // others keep the line open
      if (!lines.length) continue;
      const data = lines.map((line) => line.slice(6)).join("\n");
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new ApiError(event.error);
      yield event;
    }
  }
  throw new Error("the server ended the reply before it was whole");
}
