// Asks the server once a second and shows what it says. What is on the page is changed in place, so that neither the
// focus nor a screen reader's place is lost.
import { ask, keepToken, Refused } from './server.mjs';
import { draw } from './map.mjs';
import { open } from './terminal.mjs';

const period = 1000;
const place = id => document.getElementById(id);
let before = null;

place('token-form').addEventListener('submit', event => {
  event.preventDefault();
  keepToken(place('token').value);
  place('token-form').hidden = true;
  look();
});

place('hold-form').addEventListener('submit', event => {
  event.preventDefault();
  act('POST', 'v1/templates', template => `${template.name} is held, and ${template.state}`, { name: place('hold-name').value });
});

async function look() {
  try {
    const overview = await ask('GET', 'v1/overview');
    show(overview);
    before = overview;
    place('token-form').hidden = true;
  } catch (error) {
    place('status').textContent = error instanceof Refused ? error.message : 'the server does not answer';
    if (error.status === 401 && place('token-form').hidden) {
      place('token-form').hidden = false;
      place('token').focus();
    }
  }
}

async function keepLooking() {
  for (;;) {
    if (!document.hidden && place('token-form').hidden) {
      await look();
    }
    await new Promise(wake => setTimeout(wake, period));
  }
}

function show(overview) {
  const status = overview.status === 'ok' ? `version ${overview.version}` : overview.status;
  if (place('status').textContent !== status) {
    place('status').textContent = status;
  }
  for (const key of ['births', 'deaths', 'alive']) {
    place(key).textContent = overview[key].toLocaleString('en');
  }
  place('waiting').textContent = overview.templates.reduce((sum, template) => sum + template.waiting, 0);
  showTimes(overview.steps);
  list(place('templates'), overview.templates, template => template.name, makeTemplate, showTemplate);
  showOthers(overview.others);
  list(place('vms'), overview.vms, vm => String(vm.id), makeVm, (item, vm) => showVm(item, vm, overview));
  place('vms-none').hidden = overview.vms.length > 0;
  draw(place('maps'), overview.pools);
}

function showTimes(steps) {
  if (steps.length === 0) {
    return;
  }
  place('times').tBodies[0].replaceChildren(...steps.map(step => {
    const row = document.createElement('tr');
    const texts = [step.step.replace('_', ' '), step.count, time(step.p50_ns), time(step.p90_ns), time(step.p99_ns), time(step.max_ns)];
    row.append(...texts.map(text => element('td', text)));
    return row;
  }));
}

/** The templates that could be held; the choice stays where it is while it can. */
function showOthers(names) {
  const select = place('hold-name');
  place('hold-form').hidden = names.length === 0;
  if (names.join(' ') !== [...select.options].map(option => option.value).join(' ')) {
    const chosen = select.value;
    select.replaceChildren(...names.map(name => element('option', name)));
    select.value = names.includes(chosen) ? chosen : names[0] ?? '';
  }
}

/** Makes a list's items those of the data, and leaves those that stay where they are. */
function list(into, data, keyOf, make, fill) {
  const items = new Map([...into.children].map(item => [item.dataset.key, item]));
  for (const entry of data) {
    const key = keyOf(entry);
    let item = items.get(key);
    if (!item) {
      item = make(entry);
      item.dataset.key = key;
      into.append(item);
    }
    items.delete(key);
    fill(item, entry);
  }
  for (const [, gone] of items) {
    if (gone.contains(document.activeElement)) {
      place(`${into.id}-title`).focus();
    }
    gone.remove();
  }
}

function makeTemplate(template) {
  const item = document.createElement('li');
  const title = element('h3', template.name);
  title.append(element('span', '', 'state'));
  item.append(title, element('p', ''), buttons(
    ['New VM', 'main', () => act('POST', `v1/templates/${template.name}/vms`, vm => `VM ${vm.id} is born`)],
    ['Release', 'danger', () => act('DELETE', `v1/templates/${template.name}`, () => `${template.name} is held no more`)]));
  for (const button of item.lastChild.children) {
    button.setAttribute('aria-label', `${button.textContent} ${button.textContent === 'New VM' ? 'of ' : ''}${template.name}`);
  }
  return item;
}

function showTemplate(item, template) {
  state(item, template.state);
  text(item.querySelector('p'), template.message ?? `${size(template.memory_bytes)} and ${count(template.cpus, 'vCPU')} each`
    + `${template.network === 'user' ? ', with a network' : ''}; `
    + `${template.vms} of ${template.most_vms} VMs, ${template.waiting} waiting; started ${count(template.starts, 'time')}`);
  item.querySelector('button').disabled = template.state !== 'ready';
}

function makeVm(vm) {
  const item = document.createElement('li');
  const path = `v1/vms/${vm.id}`;
  const title = element('h3', `VM ${vm.id}`);
  title.append(element('span', '', 'state'));
  const usage = element('dl', '', 'usage');
  for (const name of ['CPU', 'memory']) {
    const meter = document.createElement('meter');
    meter.setAttribute('aria-label', `${name} of VM ${vm.id}`);
    const bar = document.createElement('dd');
    bar.append(meter);
    usage.append(element('dt', name), bar, element('dd', ''));
  }
  const row = buttons(
    ['Terminal', 'main', () => open(vm.id)],
    ['Freeze', '', () => act('POST', `${path}/freeze`, () => `VM ${vm.id} is frozen`)],
    ['Fork', '', () => act('POST', `${path}/fork`, child => `VM ${child.id} is born of VM ${vm.id}`)],
    ['Reset', '', () => act('POST', `${path}/reset`, () => `VM ${vm.id} is as at its birth`)],
    ['Kill', 'danger', () => act('DELETE', path, () => `VM ${vm.id} is dead`)]);
  for (const button of row.children) {
    button.setAttribute('aria-label', `${button.textContent} VM ${vm.id}`);
  }
  item.append(title, element('p', ''), usage, row);
  return item;
}

function showVm(item, vm, overview) {
  state(item, vm.state);
  const origin = vm.parent ? `born of VM ${vm.parent}` : `born of ${vm.template}`;
  text(item.querySelector('p'), vm.message ? `it has ended: ${vm.message}` : vm.kind === 'job' ? `a job's, ${origin}` : origin);
  const old = before?.vms.find(other => other.id === vm.id);
  const passed = before ? overview.clock_ns - before.clock_ns : 0;
  const share = old && passed > 0 ? Math.max(0, (vm.cpu_ns - old.cpu_ns) / passed) : 0;
  const cpus = overview.templates.find(template => template.name === vm.template)?.cpus ?? 1;
  meter(item, 0, share, cpus, `${Math.round(share * 100)} %`);
  meter(item, 1, vm.held_bytes, vm.memory_bytes || 1, `${size(vm.held_bytes)} of ${size(vm.memory_bytes)}`);
  const isKept = vm.kind === 'kept';
  const isRunning = vm.state === 'running';
  const may = [isRunning, isKept && isRunning, isKept && vm.state === 'frozen', isKept && isRunning, true];
  [...item.lastChild.children].forEach((button, at) => { button.disabled = !may[at]; });
}

function meter(item, at, value, most, words) {
  const bar = item.querySelectorAll('meter')[at];
  bar.max = most;
  bar.value = value;
  bar.textContent = words;
  text(item.querySelectorAll('.usage > dd')[at * 2 + 1], words);
}

function state(item, name) {
  const span = item.querySelector('.state');
  span.className = `state ${name}`;
  text(span, name);
}

/** Does something and says what came of it, to all readers. */
async function act(method, path, words, body = null) {
  try {
    say(words(await ask(method, path, body)));
  } catch (error) {
    say(`That failed: ${error.message}`);
  }
  await look();
}

function say(words) {
  place('said').textContent = words;
  place('status').textContent = words;
}

function buttons(...all) {
  const row = element('div', '', 'buttons');
  for (const [name, kind, work] of all) {
    const button = element('button', name, kind);
    button.type = 'button';
    button.addEventListener('click', work);
    row.append(button);
  }
  return row;
}

function element(tag, words, className = '') {
  const made = document.createElement(tag);
  made.textContent = words;
  made.className = className;
  return made;
}

function text(into, words) {
  if (into.textContent !== words) {
    into.textContent = words;
  }
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function size(bytes) {
  return bytes >= 1 << 30 ? `${+(bytes / (1 << 30)).toFixed(1)} GB` : `${Math.round(bytes / (1 << 20))} MB`;
}

function time(nanoseconds) {
  return nanoseconds >= 1e9 ? `${(nanoseconds / 1e9).toFixed(2)} s` : `${(nanoseconds / 1e6).toFixed(1)} ms`;
}

keepLooking();
