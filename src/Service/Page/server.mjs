// The requests of the page. The token, where the server wants one, stays in this tab.
const key = 'quietus-token';

export function token() {
  return sessionStorage.getItem(key) ?? '';
}

export function keepToken(text) {
  sessionStorage.setItem(key, text);
}

/** The server refused: what was wrong, and its status. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Sends a request and reads the answer's JSON; null where it has none. */
export async function ask(method, path, body = null) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  if (body) {
    headers['Content-Type'] = 'application/json';
  }
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : null;
  if (!answer.ok) {
    throw new Refused(answer.status, [json?.error, json?.next].filter(Boolean).join('; ') || `status ${answer.status}`);
  }
  return json;
}

/** A WebSocket to a path; a browser can send no header with it, so the token is among the protocols. */
export function connect(path) {
  const at = new URL(path, location.href);
  at.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const protocols = ['quietus'];
  if (token()) {
    const bytes = new TextEncoder().encode(token());
    protocols.push('token.' + btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''));
  }
  const socket = new WebSocket(at, protocols);
  socket.binaryType = 'arraybuffer';
  return socket;
}
