// A terminal into a VM: a shell of its own, over the server's WebSocket, shown by xterm.
import { Terminal } from './xterm.mjs';
import { connect } from './server.mjs';

const input = 0;
const dialog = document.getElementById('terminal');
const screen = document.getElementById('terminal-screen');
const note = document.getElementById('terminal-note');
const family = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
const font = 14;
let current = null;

document.getElementById('terminal-close').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => end());

// Escape and Tab are the program's; F6 leads out of the terminal, to the button that closes it.
dialog.addEventListener('cancel', event => event.preventDefault());
addEventListener('resize', () => current && fit(current));

/** Opens a shell in a VM. */
export function open(id) {
  end();
  document.getElementById('terminal-title').textContent = `Terminal of VM ${id}`;
  note.textContent = 'connecting';
  dialog.showModal();
  const terminal = new Terminal({
    fontFamily: family, fontSize: font, screenReaderMode: true, cursorBlink: false, scrollback: 2000,
    theme: { background: '#101216', foreground: '#e8e6e1' },
  });
  terminal.attachCustomKeyEventHandler(event => {
    if (event.key === 'F6') {
      document.getElementById('terminal-close').focus();
      return false;
    }
    return true;
  });
  terminal.open(screen);
  const socket = connect(`v1/vms/${id}/run`);
  const session = { terminal, socket, isOpen: false };
  current = session;
  const size = measure();
  terminal.resize(size.columns, size.rows);
  socket.addEventListener('open', () => {
    session.isOpen = true;
    socket.send(JSON.stringify({ run: { command: ['sh'], terminal: size } }));
    note.textContent = 'Tab and Escape go to the program; F6 goes to the Close button.';
    terminal.focus();
  });
  socket.addEventListener('message', event => take(session, event.data));
  socket.addEventListener('close', () => {
    session.isOpen = false;
    if (current === session && !session.isOver) {
      note.textContent = 'The connection is over.';
    }
  });
  terminal.onData(text => session.isOpen && socket.send(bytes(input, new TextEncoder().encode(text))));
  terminal.onBinary(text => session.isOpen
    && socket.send(bytes(input, Uint8Array.from(text, letter => letter.charCodeAt(0)))));
}

function take(session, data) {
  if (data instanceof ArrayBuffer) {
    session.terminal.write(new Uint8Array(data, 1));
    return;
  }
  const said = JSON.parse(data);
  if (said.end || said.problem) {
    session.isOver = true;
    session.isOpen = false;
    note.textContent = said.problem ? said.problem.error : `The shell has ended with ${said.end.exit_code}.`;
  }
}

function end() {
  if (current) {
    current.socket.close();
    current.terminal.dispose();
    current = null;
    screen.replaceChildren();
  }
}

function fit(session) {
  const size = measure();
  if (size.columns !== session.terminal.cols || size.rows !== session.terminal.rows) {
    session.terminal.resize(size.columns, size.rows);
    if (session.isOpen) {
      session.socket.send(JSON.stringify({ terminal: size }));
    }
  }
}

function measure() {
  const context = document.createElement('canvas').getContext('2d');
  context.font = `${font}px ${family}`;
  const width = context.measureText('M'.repeat(50)).width / 50;
  const room = screen.clientWidth - 24;
  return {
    columns: Math.max(20, Math.min(200, Math.floor(room / width))),
    rows: Math.max(8, Math.min(40, Math.floor((innerHeight - 180) / (font * 1.2)))),
  };
}

function bytes(whose, payload) {
  const message = new Uint8Array(payload.length + 1);
  message[0] = whose;
  message.set(payload, 1);
  return message;
}
