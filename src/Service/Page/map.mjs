// What a machine's memory is used as: a square for each chunk, coloured by its owner. The legend says the same in words
// and numbers, and its buttons show the squares of one owner alone: nothing is told by colour only.
const fixed = {
  clean: ['free, zero', '#e4e2da', '#2c3038'],
  dirty: ['free, to be scrubbed', '#b9a98c', '#6d6044'],
  scrubbing: ['being scrubbed', '#e0b84c', '#c39a2c'],
  reserved: ['the hypervisor', '#4a4f59', '#8d939e'],
  slots: ["VMs' records", '#7b6a9b', '#a592cc'],
  template: ['the template', '#1d5fae', '#82b4f5'],
  other: ['a VM between its birth and its number', '#8aa0b8', '#5b6f86'],
};
const chosen = new Map();
const dark = matchMedia('(prefers-color-scheme: dark)');

/** Draws the maps of all machines. */
export function draw(into, pools) {
  for (const old of [...into.children]) {
    if (!pools.some(pool => pool.template === old.dataset.template)) {
      old.remove();
    }
  }
  for (const pool of pools) {
    let place = [...into.children].find(child => child.dataset.template === pool.template);
    place ??= make(into, pool.template);
    paint(place, pool);
  }
}

function make(into, template) {
  const place = document.createElement('div');
  place.className = 'map';
  place.dataset.template = template;
  const title = document.createElement('h3');
  title.textContent = `Machine of ${template}`;
  const canvas = document.createElement('canvas');
  canvas.setAttribute('role', 'img');
  const legend = document.createElement('ul');
  legend.className = 'legend';
  place.append(title, canvas, legend);
  into.append(place);
  return place;
}

function ownerOf(run) {
  return run.vm ? `vm ${run.vm}` : run.use === 'vm' ? 'other' : run.use;
}

function colour(owner) {
  if (owner in fixed) {
    return fixed[owner][dark.matches ? 2 : 1];
  }
  // Neighbouring numbers get hues far apart.
  const hue = (Number(owner.slice(3)) * 137.5) % 360;
  return `hsl(${hue} 65% ${dark.matches ? 62 : 42}%)`;
}

function paint(place, pool) {
  const canvas = place.querySelector('canvas');
  const width = Math.max(200, canvas.clientWidth || 300);
  const side = 10;
  const across = Math.floor(width / side);
  const down = Math.ceil(pool.chunks / across);
  const scale = devicePixelRatio || 1;
  canvas.width = across * side * scale;
  canvas.height = down * side * scale;
  canvas.style.height = `${(down * side * width) / (across * side)}px`;
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  const only = chosen.get(pool.template);
  const counts = new Map();
  let at = 0;
  for (const run of pool.runs) {
    const owner = ownerOf(run);
    counts.set(owner, (counts.get(owner) ?? 0) + run.count);
    pen.fillStyle = colour(owner);
    pen.globalAlpha = only && only !== owner ? 0.12 : 1;
    for (let i = 0; i < run.count; i++, at++) {
      pen.fillRect((at % across) * side, Math.floor(at / across) * side, side - 1, side - 1);
    }
  }
  const words = [...counts].map(([owner, count]) => `${name(owner)} ${count}`).join(', ');
  canvas.setAttribute('aria-label', `${pool.chunks} chunks of ${pool.chunk_bytes / 1048576} MB: ${words}`);
  explain(place, pool, counts);
}

function name(owner) {
  return owner in fixed ? fixed[owner][0] : owner.replace('vm', 'VM');
}

function explain(place, pool, counts) {
  const legend = place.querySelector('ul');
  for (const item of [...legend.children]) {
    if (!counts.has(item.dataset.owner)) {
      if (chosen.get(pool.template) === item.dataset.owner) {
        chosen.delete(pool.template);
      }
      item.remove();
    }
  }
  for (const [owner, count] of counts) {
    let item = [...legend.children].find(child => child.dataset.owner === owner);
    if (!item) {
      item = document.createElement('li');
      item.dataset.owner = owner;
      const button = document.createElement('button');
      button.type = 'button';
      const swatch = document.createElement('span');
      swatch.className = 'swatch';
      button.append(swatch, document.createElement('span'));
      button.addEventListener('click', () => {
        chosen.set(pool.template, chosen.get(pool.template) === owner ? null : owner);
        paint(place, place.pool);
      });
      item.append(button);
      legend.append(item);
    }
    const button = item.firstChild;
    button.firstChild.style.background = colour(owner);
    button.lastChild.textContent = `${name(owner)}: ${count}`;
    button.setAttribute('aria-pressed', String(chosen.get(pool.template) === owner));
  }
  place.pool = pool;
}
