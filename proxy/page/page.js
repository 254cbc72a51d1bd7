// The live page: one event a second, in which all stands that is shown.
'use strict';

const $ = (id) => document.getElementById(id);
const span = 600; // points that are kept, one a second
const points = [];
let paused = false, plots = [], unread = null;

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const number = (n) => n == null ? '–' : whole.format(n);
const millis = (s) => s == null ? '–' : (s * 1000).toPrecision(3).replace(/(\.\d*?)0+(e|$)/, '$1$2').replace(/\.$/, '');
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// text sets a text only where it differs, so that nothing is announced or
// selected anew for nothing.
function text(id, value) {
	const el = $(id);
	if (el.textContent !== value) el.textContent = value;
}

function make(tag, content, cls) {
	const el = document.createElement(tag);
	if (content != null) el.textContent = content;
	if (cls) el.className = cls;
	return el;
}

// drawings says what is plotted where: [element, [[label, color, dash, value of a
// point]]]. Lines differ in more than their color.
const drawings = [
	['p-open', [['open', '--blue', [], (p) => p.open]]],
	['p-events', [['events/s', '--blue', [], (p) => p.events]]],
	['p-breaks', [['interruptions/s', '--red', [6, 3], (p) => p.interruptions], ['healed/s', '--green', [], (p) => p.healed]]],
	['p-added', [['p50', '--green', [], (p) => ms(p.added, 0)], ['p95', '--amber', [6, 3], (p) => ms(p.added, 1)], ['p99', '--red', [2, 3], (p) => ms(p.added, 2)]]],
];

function ms(percentiles, i) { return percentiles ? percentiles[i] * 1000 : null; }

function data(series) {
	return [points.map((p) => p.at), ...series.map((s) => points.map(s[3]))];
}

// latest is the time range of all plots: what there is of the last ten minutes,
// a minute at least.
function latest() {
	if (!points.length) return [Date.now() / 1000 - 60, Date.now() / 1000];
	const end = points[points.length - 1].at;
	return [Math.max(end - span, Math.min(points[0].at, end - 60)), end];
}

const hour = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit'});
const second = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', second: '2-digit'});
const figure = (n) => n == null ? '–' : Number(n.toPrecision(3)).toString();

// legend shows the newest figures while no others are pointed at.
function legend(u) {
	if (u.cursor.left == null || u.cursor.left < 0) u.setLegend({idx: points.length ? points.length - 1 : null}, false);
}

// draw makes the plots anew: at the start, and when size or colors change.
function draw() {
	for (const p of plots) p.u.destroy();
	plots = drawings.map(([id, series]) => {
		const box = $(id), axis = {stroke: color('--soft'), grid: {stroke: color('--line'), width: 1}, ticks: {stroke: color('--line'), width: 1}};
		const u = new uPlot({
			width: Math.max(200, box.clientWidth), height: 190,
			cursor: {drag: {x: false, y: false}},
			scales: {x: {range: latest}, y: {range: (_, min, max) => [0, Math.max(1e-3, max * 1.1 || 1)]}},
			axes: [{...axis, space: 100, size: 30, values: (_, at) => at.map((t) => (t % 60 ? second : hour).format(t * 1000))}, {...axis, size: 55}],
			series: [{label: 'time', value: (_, t) => t == null ? '–' : second.format(t * 1000)}, ...series.map(([label, c, dash]) =>
				({label, stroke: color(c), dash, width: 2, spanGaps: false, points: {show: false}, value: (_, n) => figure(n)}))],
			hooks: {setCursor: [legend]},
		}, data(series), box);
		legend(u);
		return {u, series};
	});
}

function bars(id, counts) {
	const list = $(id), names = Object.keys(counts || {}).filter((n) => counts[n] > 0).sort((a, b) => counts[b] - counts[a]);
	const most = Math.max(1, ...names.map((n) => counts[n]));
	list.replaceChildren(...names.map((name) => {
		const li = make('li'), m = make('meter');
		m.max = most;
		m.value = counts[name];
		m.setAttribute('aria-hidden', 'true');
		li.append(make('span', name), m, make('span', number(counts[name])));
		return li;
	}));
	if (!names.length) list.append(make('li', 'none', 'quiet'));
}

// line makes a row. Its cells know their headings, which a phone shows beside
// them.
function line(headings, cells) {
	// The roles are said, since a phone shows the table as blocks.
	const tr = make('tr');
	tr.setAttribute('role', 'row');
	cells.forEach((cell, i) => {
		const td = cell instanceof Node ? cell : make('td', cell);
		td.dataset.heading = headings[i];
		td.setAttribute('role', 'cell');
		tr.append(td);
	});
	return tr;
}

function table(headings, rows, label) {
	const t = make('table'), head = make('thead'), tr = make('tr'), body = make('tbody'), box = make('div', null, 'scroll');
	for (const h of headings) {
		const th = make('th', h);
		th.scope = 'col';
		tr.append(th);
	}
	head.append(tr);
	for (const row of rows) body.append(line(headings, row));
	t.className = 'stack';
	t.setAttribute('role', 'table');
	body.setAttribute('role', 'rowgroup');
	t.append(head, body);
	box.tabIndex = 0;
	box.setAttribute('role', 'region');
	box.setAttribute('aria-label', label);
	box.append(t);
	return box;
}

const state = (s) => make('td', s, 'state-' + s);
const clock = (iso) => iso ? second.format(new Date(iso)) : '';

// parked names the models that a key is left out for, a few of them.
function parked(models) {
	const names = Object.keys(models || {}).sort();
	return names.slice(0, 3).map((m) => m + ' until ' + clock(models[m])).join(', ') + (names.length > 3 ? ' and ' + (names.length - 3) + ' more' : '');
}

let shownGroups = '';

function groups(view) {
	const now = JSON.stringify(view);
	if (now === shownGroups) return;
	shownGroups = now;
	const parts = [];
	for (const g of view.groups || []) {
		parts.push(make('h3', g.name + (g.name === view.default_group ? ' (default)' : '')));
		parts.push(table(['Target', 'State', 'Running', 'Failures', 'Ejections', 'Why', 'Until'], (g.targets || []).map((t) =>
			[t.url, state(t.state), number(t.running), number(t.failures), number(t.ejections), t.reason || '', clock(t.until)]), 'Targets of ' + g.name));
		if (g.keys) parts.push(table(['Key', 'State', 'Running', 'Last minute', 'Why', 'Until'], g.keys.map((k) =>
			[k.name, state(k.state), number(k.running), number(k.last_minute), k.reason || parked(k.parked), clock(k.until)]), 'Keys of ' + g.name));
		if (g.more_keys) parts.push(make('p', 'and ' + number(g.more_keys) + ' more keys', 'quiet'));
	}
	$('groups').replaceChildren(...parts);
}

const answerHeadings = ['Ended', 'Group', 'Attempts', 'Bytes', 'Seconds', 'Cut and joined'];
let newest = '';

function streams(list) {
	const now = list && list.length ? list[0].at + list.length : '';
	if (now === newest) return;
	newest = now;
	$('streams').replaceChildren(...list.map((s) => {
		const seams = (s.seams || []).map((m) => m.cause + ' at ' + number(m.at) + (m.joined ? ', joined ' + m.joined : ', asked again') +
			(m.dropped ? ', ' + number(m.dropped) + ' dropped' : '')).join('; ');
		return line(answerHeadings, [clock(s.at), s.group, number(s.attempts), number(s.bytes), s.seconds.toFixed(1),
			make('td', seams || (s.causes || []).join(', '), 'wide')]);
	}));
}

function show(m) {
	const p = points[points.length - 1], d = m.detail;
	text('open', number(p && p.open));
	text('events', number(p && p.events));
	text('requests', number(p && p.requests));
	text('healed', number(d.healed));
	text('gaveUp', number(d.gave_up));
	text('interruptions', number(d.interruptions));
	for (const [name, key] of [['added', 'added'], ['first', 'first'], ['gap', 'gap']]) {
		const v = d[key];
		[50, 95, 99].forEach((q, i) => text(name + q, millis(v && v[i])));
	}
	bars('causes', d.causes);
	bars('reasons', d.reasons);
	groups(d.groups);
	streams(d.streams || []);
	for (const {u, series} of plots) {
		u.setData(data(series));
		legend(u);
	}
}

function take(m) {
	if (m.history) points.splice(0, points.length, ...m.history);
	if (m.point) points.push(m.point);
	if (points.length > span) points.splice(0, points.length - span);
	unread = m;
	if (!paused) show(m);
}

function link(words, lost) {
	text('link', words);
	$('link').classList.toggle('lost', lost);
}

function connect() {
	const source = new EventSource('live');
	source.onopen = () => link('live', false);
	source.onmessage = (e) => take(JSON.parse(e.data));
	source.onerror = () => {
		link('no connection, trying again', true);
		if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
	};
}

$('pause').addEventListener('click', () => {
	paused = !paused;
	$('pause').setAttribute('aria-pressed', String(paused));
	text('pause', paused ? 'Go on' : 'Pause');
	if (!paused && unread) show(unread);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
let resizing;
addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(draw, 150); });
draw();
connect();
