// Values under the pointer. The page is complete without this.
for (const plot of document.querySelectorAll('.chart .plot')) {
  const numbers = (name) => plot.dataset[name].split(' ').map(Number);
  const [x0, x1] = numbers('x'), [y0, y1] = numbers('y'), unit = plot.dataset.unit;
  const lines = [...plot.querySelectorAll('path.line')].map((path) => ({
    label: path.dataset.label,
    points: [...path.getAttribute('d').matchAll(/[ML]([\d.e-]+) ([\d.e-]+)/g)].map(([, x, y]) => [
      x0 + (Number(x) / 1000) * (x1 - x0),
      y1 - (Number(y) / 1000) * (y1 - y0),
    ]),
  }));
  const hair = Object.assign(document.createElement('div'), { className: 'hair' });
  const note = Object.assign(document.createElement('div'), { className: 'read-out' });
  const short = (value) => Number(value.toPrecision(4)).toString();
  const hide = () => { hair.remove(); note.remove(); };
  plot.addEventListener('pointerleave', hide);
  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const at = x0 + ((event.clientX - box.left) / box.width) * (x1 - x0);
    const nearest = lines.map(({ label, points }) => {
      const point = points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
      return { label, point };
    });
    const x = nearest.reduce((a, b) => (Math.abs(b.point[0] - at) < Math.abs(a.point[0] - at) ? b : a)).point[0];
    const part = (x - x0) / (x1 - x0);
    hair.style.left = `${part * 100}%`;
    note.textContent = nearest
      .map(({ label, point }) => `${label} ${short(point[1])}${unit}` + (point[0] === x ? '' : ` (at ${short(point[0])})`))
      .concat(`at ${short(x)}`).join('\n');
    note.style.left = part < 0.5 ? `calc(${part * 100}% + .6rem)` : 'auto';
    note.style.right = part < 0.5 ? 'auto' : `calc(${(1 - part) * 100}% + .6rem)`;
    plot.append(hair, note);
  });
}
