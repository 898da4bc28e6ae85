// page.js: the page of jeprof --html: its controls, and what they make the views show.
import { FlameView } from './flame_view.js';
import { TableView } from './table_view.js';
import {
    formatChange, formatCount, formatPart, makeGrowth, makePattern, makeTable, totals,
} from './profile_data.js';

const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const tabs = ['flame', 'table', 'growth'].map((name) => byId(`tab-${name}`));
const choice = {
    measure: Math.max(data.measures.findIndex((measure) => measure.name === data.measure), 0),
    rows: 'functions',
    dump: data.dumps.length - 1,
    base: data.dumps[0].base ? 0 : -1,
};
let isInverted = false;
let shownTab = 'flame';
const flame = new FlameView(byId('chart'), (line) => { byId('details').textContent = line; });
const table = new TableView(byId('table'), byId('table-note'));
const growth = new TableView(byId('growth'), byId('growth-note'));

const unitOf = () => data.measures[choice.measure].unit;
const baseName = (path) => path.replace(/.*\//, '');

function option(value, text) {
    const made = document.createElement('option');
    made.value = value;
    made.textContent = text;
    return made;
}

function code(name, title) {
    const made = document.createElement('code');
    made.textContent = name;
    if (title !== name) {
        made.title = title;
    }
    return made;
}

function tableColumns(sum) {
    const unit = unitOf();
    const columns = [
        { key: 'own', title: 'Own', show: (row) => formatCount(row.own, unit) },
        { key: 'ownPart', title: 'Own %', show: (row) => formatPart(row.own, sum.after) },
        { key: 'total', title: 'With callees', show: (row) => formatCount(row.total, unit) },
        { key: 'totalPart', title: 'With callees %', show: (row) => formatPart(row.total, sum.after) },
    ];
    if (choice.base >= 0) {
        columns.push(
            { key: 'ownChange', title: 'Own change', change: true, show: (row) => formatChange(row.ownChange, unit) },
            { key: 'totalChange', title: 'Change', change: true, show: (row) => formatChange(row.totalChange, unit) },
        );
    }
    const title = { functions: 'Function', lines: 'Line', files: 'File' }[choice.rows];
    columns.push({ key: 'name', title, show: (row) => code(row.name, row.title) });
    return columns;
}

// Parts sort as their counts do.
function tableRows() {
    return makeTable(data, choice).map((row) => ({ ...row, ownPart: row.own, totalPart: row.total }));
}

// The counts of all dumps as a small line. What it shows is in the other columns, too.
function spark(counts) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
    const largest = Math.max(...counts, 1);
    const step = 78 / Math.max(counts.length - 1, 1);
    line.setAttribute('class', 'spark');
    line.setAttribute('points', counts
        .map((count, i) => `${(1 + i * step).toFixed(1)},${(19 - 18 * Math.max(count, 0) / largest).toFixed(1)}`)
        .join(' '));
    svg.setAttribute('width', 80);
    svg.setAttribute('height', 20);
    svg.setAttribute('aria-hidden', 'true');
    svg.append(line);
    return svg;
}

function stackDetails(row) {
    const details = document.createElement('details');
    const summary = document.createElement('summary');
    const list = document.createElement('ol');
    summary.textContent = row.names.slice(0, 3).join(' \u2190 ') + (row.names.length > 3 ? ' \u2190 \u2026' : '');
    list.append(...row.names.map((name) => {
        const item = document.createElement('li');
        item.textContent = name;
        return item;
    }));
    details.append(summary, list);
    return details;
}

function showGrowth() {
    const unit = unitOf();
    const rows = makeGrowth(data, choice).map((row) => ({
        ...row, name: row.names.join(' '), first: row.counts[0], last: row.counts[row.counts.length - 1],
    }));
    growth.show([
        { key: 'slope', title: 'Per dump', change: true, show: (row) => formatChange(row.slope, unit) },
        { key: 'first', title: 'First', show: (row) => formatCount(row.first, unit) },
        { key: 'last', title: 'Last', show: (row) => formatCount(row.last, unit) },
        { key: 'steadiness', title: 'Steady', show: (row) => formatPart(row.steadiness, 1) },
        { key: 'largest', title: 'Course', show: (row) => spark(row.counts) },
        { key: 'name', title: 'Stack, the allocating frame first', show: stackDetails },
    ], rows.map((row) => ({ ...row, largest: Math.max(...row.counts) })), 'slope');
}

function showLegend() {
    const legend = byId('legend');
    legend.replaceChildren();
    if (choice.base >= 0) {
        for (const [color, text] of [['rgb(240,105,100)', 'grew'], ['rgb(120,165,250)', 'shrank']]) {
            const patch = document.createElement('i');
            patch.style.background = color;
            legend.append(patch, text);
        }
    }
}

function showSummary() {
    const sum = totals(data, choice);
    const unit = unitOf();
    const title = data.measures[choice.measure].title;
    const change = choice.base < 0 ? ''
        : ` (${formatChange(sum.after - sum.before, unit)} since ${baseName(data.dumps[choice.base].name)})`;
    byId('heading').textContent = `${baseName(data.program)}: ${formatCount(sum.after, unit)}${change}`;
    byId('summary').textContent = `${title}; ${baseName(data.dumps[choice.dump].name)}` +
        (data.period > 1 ? `; a sample every ${formatCount(data.period, 'bytes')}` : '; every allocation counted');
    return sum;
}

// Shows the choice in the view that is open; the others are made when they are opened.
function show() {
    const sum = showSummary();
    const pattern = makePattern(byId('search').value);
    showLegend();
    if (shownTab === 'flame') {
        byId('details').textContent = '';
        flame.show({ data, choice, unit: unitOf(), isInverted });
        byId('flame-note').textContent = flame.root.leftOut === 0 ? ''
            : `The ${flame.root.leftOut} narrowest frames are left out; the table has all.`;
        flame.search(pattern);
    } else if (shownTab === 'table') {
        table.pattern = pattern;
        table.show(tableColumns(sum), tableRows(), 'own');
    } else {
        growth.pattern = pattern;
        showGrowth();
    }
}

function search() {
    const pattern = makePattern(byId('search').value);
    ({ flame, table, growth })[shownTab].search(pattern);
}

function openTab(tab) {
    shownTab = tab.id.slice('tab-'.length);
    for (const other of tabs) {
        const isShown = other === tab;
        other.setAttribute('aria-selected', String(isShown));
        other.tabIndex = isShown ? 0 : -1;
        byId(other.getAttribute('aria-controls')).hidden = !isShown;
    }
    show();
}

function setTheme(name) {
    document.documentElement.dataset.theme = name;
    byId('theme').textContent = name === 'dark' ? 'Light theme' : 'Dark theme';
}

function setInverted(value) {
    isInverted = value;
    byId('inverted').setAttribute('aria-pressed', String(value));
    show();
}

function resetAll() {
    byId('search').value = '';
    search();
    flame.reset();
}

function onKey(event) {
    const isTyping = event.target.matches('input, select, textarea');
    if (event.key === 'Escape') {
        resetAll();
    } else if (isTyping || event.ctrlKey || event.metaKey || event.altKey) {
        return;
    } else if (event.key === '/') {
        event.preventDefault();
        byId('search').focus();
    } else if (event.key === 'i') {
        setInverted(!isInverted);
    } else if (['1', '2', '3'].includes(event.key) && !tabs[event.key - 1].hidden) {
        openTab(tabs[event.key - 1]);
    }
}

function onTabKey(event) {
    const shown = tabs.filter((tab) => !tab.hidden);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
        const next = shown[(shown.indexOf(event.target) + step + shown.length) % shown.length];
        next.focus();
        openTab(next);
    }
}

function start() {
    data.measures.forEach((measure, i) => byId('measure').append(option(i, measure.title)));
    byId('base').append(option(-1, 'nothing'));
    data.dumps.forEach((dump, i) => {
        byId('dump').append(option(i, baseName(dump.name)));
        byId('base').append(option(i, baseName(dump.name)));
    });
    for (const name of ['measure', 'rows', 'dump', 'base']) {
        byId(name).value = choice[name];
        byId(name).addEventListener('change', (event) => {
            choice[name] = name === 'rows' ? event.target.value : Number(event.target.value);
            show();
        });
    }
    for (const element of document.querySelectorAll('.several')) {
        element.hidden = data.dumps.length < 2;
    }
    const isDark = window.matchMedia('(prefers-color-scheme: dark)').matches;
    setTheme(isDark ? 'dark' : 'light');
    byId('theme').addEventListener('click', () => {
        setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
    });
    byId('search').addEventListener('input', search);
    byId('inverted').addEventListener('click', () => setInverted(!isInverted));
    byId('reset').addEventListener('click', () => flame.reset());
    tabs.forEach((tab) => {
        tab.addEventListener('click', () => openTab(tab));
        tab.addEventListener('keydown', onTabKey);
    });
    document.addEventListener('keydown', onKey);
    window.addEventListener('resize', () => flame.resize());
    document.title = `jeprof: ${baseName(data.program)}`;
    show();
}

start();
