// The live page: one event a second, in which all stands that is shown.
'use strict';

const $ = (id) => document.getElementById(id);
const span = 600; // points that are kept, one a second
const points = [];
let paused = false, plots = [], unread = null;

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const number = (n) => n == null ? '–' : whole.format(n);
const figure = (n) => n == null ? '–' : Number(n.toPrecision(3)).toString();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// duration is a time in the unit that people would say it in.
function duration(s) {
	if (s == null) return '–';
	const [n, unit] = s < 1e-3 ? [s * 1e6, 'µs'] : s < 1 ? [s * 1e3, 'ms'] : [s, 's'];
	return figure(n) + ' ' + unit;
}

const minute = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', hourCycle: 'h23'});
const second = new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'});
const day = new Intl.DateTimeFormat(undefined, {month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23'});

// clock is a time of day, with the day where that is not today.
function clock(iso) {
	if (!iso) return '';
	const at = new Date(iso);
	return (at.toDateString() === new Date().toDateString() ? second : day).format(at);
}

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

// patch makes old what now is and touches nothing that is so already: what has
// the focus, is selected or scrolled stays as it is.
function patch(old, now) {
	if (old.nodeName !== now.nodeName) return old.replaceWith(now);
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== now.data) old.data = now.data;
		return;
	}
	for (const {name} of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
	for (const {name, value} of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
	patchAll(old, [...now.childNodes]);
}

function patchAll(box, nodes) {
	const old = [...box.childNodes];
	nodes.forEach((node, i) => i < old.length ? patch(old[i], node) : box.append(node));
	for (const extra of old.slice(nodes.length)) extra.remove();
}

// drawings says what is plotted where: [element, format of a figure, [[label,
// color, dash, value of a point]]]. Lines differ in more than their color.
const drawings = [
	['p-open', number, [['open', '--blue', [], (p) => p.open]]],
	['p-events', figure, [['events/s', '--blue', [], (p) => p.events]]],
	['p-breaks', figure, [['interruptions/s', '--red', [6, 3], (p) => p.interruptions], ['healed/s', '--green', [], (p) => p.healed]]],
	['p-added', duration, [0, 1, 2].map((i) =>
		[['p50', '--green', []], ['p95', '--amber', [6, 3]], ['p99', '--red', [2, 3]]][i].concat((p) => p.added ? p.added[i] : null))],
];

const seconds = [1, 5, 10, 15, 30, 60, 120, 180, 300];
const wholes = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6];

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

// alone are the points that have none beside them, which no line would show.
function alone(u, i) {
	const of = u.data[i];
	return of.map((_, at) => at).filter((at) => of[at] != null && of[at - 1] == null && of[at + 1] == null);
}

// legend shows the newest figures while no others are pointed at.
function legend(u) {
	if (u.cursor.left == null || u.cursor.left < 0) u.setLegend({idx: points.length ? points.length - 1 : null}, false);
}

// describe says a plot in words, for those who do not see it.
function describe(box, format, series) {
	const what = box.parentNode.querySelector('figcaption').textContent;
	box.setAttribute('aria-label', what + ' over the last ten minutes: ' + series.map(([label, , , value]) => {
		const all = points.map(value).filter((v) => v != null);
		if (!all.length) return label + ' nothing yet';
		return label + ' ' + format(all[all.length - 1]) + ', at most ' + format(all.reduce((a, b) => Math.max(a, b)));
	}).join('; '));
}

// draw makes the plots anew: at the start, and when size or colors change.
function draw() {
	for (const p of plots) p.u.destroy();
	plots = drawings.map(([id, format, series]) => {
		const box = $(id), axis = {stroke: color('--soft'), grid: {stroke: color('--line'), width: 1}, ticks: {stroke: color('--line'), width: 1}};
		const u = new uPlot({
			width: Math.max(200, box.clientWidth), height: 190, padding: [10, 28, 0, 0],
			cursor: {y: false, drag: {x: false, y: false}, sync: {key: 'page'}},
			scales: {x: {range: latest}, y: {range: (_, min, max) => [0, max > 0 ? max * 1.1 : 1]}},
			axes: [{...axis, space: 80, size: 30, incrs: seconds, values: (_, at) => at.map((t) => (t % 60 ? second : minute).format(t * 1000))},
				{...axis, size: 60, values: (_, at) => at.map(format), ...(format === number ? {incrs: wholes} : {})}],
			series: [{label: 'time', value: (_, t) => t == null ? '–' : second.format(t * 1000)}, ...series.map(([label, c, dash]) =>
				({label, stroke: color(c), dash, width: 2, fill: series.length > 1 ? undefined : color(c) + '26', points: {show: false, filter: alone, size: 4, fill: color(c)}, value: (_, n) => format(n)}))],
			hooks: {setCursor: [legend]},
		}, data(series), box);
		legend(u);
		return {u, box, format, series};
	});
}

// steer moves all plots' cursors by key.
function steer(e) {
	const {u} = plots.find((p) => p.box === e.currentTarget), last = points.length - 1;
	const at = u.cursor.left >= 0 && u.cursor.idx != null ? u.cursor.idx : last;
	const to = {ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 30, PageDown: at + 30, Home: 0, End: last, Escape: -1}[e.key];
	if (to == null || last < 0) return;
	e.preventDefault();
	const x = points[Math.min(Math.max(to, 0), last)].at;
	for (const p of plots) p.u.setCursor(e.key === 'Escape' ? {left: -10, top: -10} : {left: p.u.valToPos(x, 'x'), top: 0});
}

function bars(id, counts) {
	const names = Object.keys(counts || {}).filter((n) => counts[n] > 0).sort((a, b) => counts[b] - counts[a]);
	const most = Math.max(1, ...names.map((n) => counts[n]));
	const list = names.map((name) => {
		const li = make('li'), m = make('meter');
		m.max = most;
		m.value = counts[name];
		m.setAttribute('aria-hidden', 'true');
		li.append(make('span', name), m, make('span', number(counts[name])));
		return li;
	});
	patchAll($(id), list.length ? list : [make('li', 'none', 'quiet')]);
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

// parked names the models that a key is left out for, a few of them.
function parked(models) {
	const names = Object.keys(models || {}).sort();
	return names.slice(0, 3).map((m) => m + ' until ' + clock(models[m])).join(', ') + (names.length > 3 ? ' and ' + (names.length - 3) + ' more' : '');
}

// notes is what a group has beside its targets and keys.
function notes(g, view) {
	const all = [];
	if (g.name === view.default_group) all.push('default');
	if (g.heal !== 'on') all.push('healing ' + g.heal);
	if (g.fallback) all.push('then ' + g.fallback);
	if (g.retries_left != null) all.push(number(g.retries_left) + ' retries left');
	return all.length ? ' (' + all.join(', ') + ')' : '';
}

function groups(view) {
	const parts = [];
	for (const g of view.groups || []) {
		parts.push(make('h3', g.name + notes(g, view)));
		parts.push(table(['Target', 'State', 'Running', 'Failures', 'Ejections', 'Why', 'Until'], (g.targets || []).map((t) =>
			[t.url, state(t.state), number(t.running), number(t.failures), number(t.ejections), t.reason || '', clock(t.until)]), 'Targets of ' + g.name));
		if (g.keys) parts.push(table(['Key', 'State', 'Running', 'Last minute', 'Why', 'Until'], g.keys.map((k) =>
			[k.name, state(k.state), number(k.running), number(k.last_minute), [k.reason, parked(k.parked)].filter(Boolean).join(': '), clock(k.until)]), 'Keys of ' + g.name));
		if (g.more_keys) parts.push(make('p', 'and ' + number(g.more_keys) + ' more keys', 'quiet'));
	}
	patchAll($('groups'), parts);
	text('mistakes', view.mistakes ? 'The last configuration has mistakes, and the one before it runs: ' + view.mistakes : '');
	$('mistakes').hidden = !view.mistakes;
}

// strip draws an answer: its parts, as long as they are, and a mark at each cut.
function strip(s) {
	const cuts = (s.seams || []).map((m) => m.at), box = make('div', null, 'strip');
	box.setAttribute('aria-hidden', 'true');
	let from = 0;
	for (const to of [...cuts, Math.max(s.text || 0, ...cuts)]) {
		if (box.lastChild) box.append(make('i'));
		const part = make('span');
		part.style.flexGrow = to - from;
		box.append(part);
		from = Math.max(from, to);
	}
	return box;
}

const answerHeadings = ['Ended', 'Group', 'Attempts', 'Bytes', 'Took', 'Cut and joined'];

function answer(s) {
	const seams = (s.seams || []).map((m) => m.cause + ' at ' + number(m.at) + (m.joined ? ', joined ' + m.joined : ', asked again') +
		(m.dropped ? ', ' + number(m.dropped) + ' dropped' : '')).join('; ');
	const td = make('td', null, 'wide'), cell = make('div');
	if (s.text && s.seams) cell.append(strip(s));
	cell.append(make('span', seams || (s.causes || []).join(', ')));
	td.append(cell);
	return line(answerHeadings, [clock(s.at), s.group, number(s.attempts), number(s.bytes), duration(s.seconds), td]);
}

let shown = []; // answers that stand in the table, by their time

// streams puts new answers on top and leaves the others where they are.
function streams(list) {
	const times = list.map((s) => s.at), body = $('streams'), fresh = shown.length ? times.indexOf(shown[0]) : -1;
	if (!list.length || fresh === 0) return;
	if (fresh < 0) body.replaceChildren(...list.map(answer));
	else body.prepend(...list.slice(0, fresh).map(answer));
	while (body.childNodes.length > list.length) body.lastChild.remove();
	shown = times;
}

function show(m) {
	const p = points[points.length - 1], d = m.detail;
	text('version', d.version || '');
	text('open', number(p && p.open));
	text('events', number(p && p.events));
	text('requests', number(p && p.requests));
	text('interruptions', number(d.interruptions));
	text('healed', number(d.healed));
	text('gaveUp', number(d.gave_up));
	$('healed').classList.toggle('some', d.healed > 0);
	$('gaveUp').classList.toggle('some', d.gave_up > 0);
	for (const name of ['added', 'first', 'gap']) {
		const v = d[name];
		[50, 95, 99].forEach((q, i) => text(name + q, duration(v && v[i])));
	}
	text('first', duration(d.first && d.first[0]));
	text('added', duration(d.added && d.added[0]));
	bars('causes', d.causes);
	bars('reasons', d.reasons);
	groups(d.groups);
	streams(d.streams || []);
	for (const {u, box, format, series} of plots) {
		u.setData(data(series));
		legend(u);
		describe(box, format, series);
	}
}

function take(m) {
	if (m.history) points.splice(0, points.length, ...m.history);
	if (m.point) points.push(m.point);
	if (points.length > span) points.splice(0, points.length - span);
	unread = m;
	if (!paused) show(m);
}

let lost = false;

function link(broken) {
	lost = broken;
	text('link', lost ? 'no connection, trying again' : paused ? 'paused' : 'live');
	$('link').className = lost ? 'lost' : paused ? 'paused' : 'live';
}

function connect() {
	const source = new EventSource('live');
	source.onopen = () => link(false);
	source.onmessage = (e) => take(JSON.parse(e.data));
	source.onerror = () => {
		link(true);
		if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
	};
}

$('pause').addEventListener('click', () => {
	paused = !paused;
	text('pause', paused ? 'Go on' : 'Pause');
	link(lost);
	if (!paused && unread) show(unread);
});
for (const [id] of drawings) $(id).addEventListener('keydown', steer);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
let resizing;
addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(draw, 150); });
text('host', location.host);
document.title = location.host + ' – gemini-resilient-proxy';
draw();
connect();
