// profile_data.js: what the views show, from the data of jeprof --json. Nothing here knows the page.

export const ROWS = {
    functions: (data, frame) => data.functions[frame[0]].name,
    lines: (data, frame) => {
        const made = data.functions[frame[0]];
        return made.file === undefined ? made.name : `${made.name} ${made.file}:${frame[1] || '?'}`;
    },
    files: (data, frame) => data.functions[frame[0]].file || data.functions[frame[0]].name,
};

// Rows as lists of names and titles, and the row of each frame of the data.
export function makeRows(data, kind) {
    const numbers = new Map();
    const rows = { names: [], titles: [], ofFrame: [] };
    for (const frame of data.frames) {
        const name = ROWS[kind](data, frame);
        const made = data.functions[frame[0]];
        let row = numbers.get(name);
        if (row === undefined) {
            row = numbers.size;
            numbers.set(name, row);
            rows.names.push(name);
            rows.titles.push(kind === 'functions' ? made.full || made.name : name);
        }
        rows.ofFrame.push(row);
    }
    return rows;
}

// [before, after] of a stack; before is 0 without a base.
function countsOf(stack, choice) {
    const after = stack.counts[choice.dump][choice.measure];
    const before = choice.base < 0 ? 0 : stack.counts[choice.base][choice.measure];
    return [before, after];
}

// A frame is as wide as its stacks count; in a comparison, as the larger of both counts of each, so
// that what is gone is seen too.
function widthOf(before, after, isDiff) {
    return Math.max(after, isDiff ? before : 0, 0);
}

export function totals(data, choice) {
    const sum = { before: 0, after: 0 };
    for (const stack of data.stacks) {
        const [before, after] = countsOf(stack, choice);
        sum.before += before;
        sum.after += after;
    }
    return sum;
}

// All nodes of a tree as lists, each behind its parent; 0 is the root, whose row is -1. A node is
// found by its parent and row in one map of numbers: a million nodes take a second.
class NodeLists {
    constructor(rowCount) {
        this.rowCount = rowCount;
        this.numbers = new Map();
        this.rows = [-1];
        this.parents = [-1];
        this.before = [0];
        this.after = [0];
        this.widths = [0];
    }

    childOf(parent, row) {
        const key = parent * this.rowCount + row;
        let node = this.numbers.get(key);
        if (node === undefined) {
            node = this.rows.length;
            this.numbers.set(key, node);
            this.rows.push(row);
            this.parents.push(parent);
            this.before.push(0);
            this.after.push(0);
            this.widths.push(0);
        }
        return node;
    }

    add(node, before, after, width) {
        this.before[node] += before;
        this.after[node] += after;
        this.widths[node] += width;
    }
}

// More are not drawn: they would be narrower than a hair, and take seconds.
export const NODES_MAX = 20000;

// The widest nodes as objects, children the widest first. No child is wider than its parent, so
// what stays is a tree.
function makeNodes(lists, rows) {
    const count = lists.rows.length;
    const narrowest = count <= NODES_MAX ? 0
        : Float64Array.from(lists.widths).sort()[count - NODES_MAX];
    const nodes = [];
    for (let i = 0; i < count; i++) {
        if (i > 0 && lists.widths[i] < narrowest) {
            continue;
        }
        const row = lists.rows[i];
        nodes[i] = {
            name: row < 0 ? 'all' : rows.names[row],
            title: row < 0 ? 'all' : rows.titles[row],
            before: lists.before[i],
            after: lists.after[i],
            value: lists.widths[i],
            children: [],
        };
        if (i > 0) {
            nodes[lists.parents[i]].children.push(nodes[i]);
        }
    }
    nodes.forEach((node) => node.children.sort((a, b) => b.value - a.value));
    const root = nodes[0];
    root.leftOut = count - nodes.reduce((sum) => sum + 1, 0); // reduce() skips the holes
    return root;
}

// The tree of all stacks, from their outermost frames, or inverted from their innermost.
export function makeTree(data, choice, isInverted) {
    const rows = makeRows(data, choice.rows);
    const lists = new NodeLists(rows.names.length);
    for (const stack of data.stacks) {
        const [before, after] = countsOf(stack, choice);
        const width = widthOf(before, after, choice.base >= 0);
        if (width === 0) {
            continue;
        }
        let node = 0;
        lists.add(node, before, after, width);
        for (let i = 0; i < stack.frames.length; i++) {
            const frame = stack.frames[isInverted ? i : stack.frames.length - 1 - i];
            node = lists.childOf(node, rows.ofFrame[frame]);
            lists.add(node, before, after, width);
        }
    }
    return makeNodes(lists, rows);
}

// A row for each function, line or file: what it allocated itself, and with all that it called.
export function makeTable(data, choice) {
    const rows = makeRows(data, choice.rows);
    const table = new Map();
    data.stacks.forEach((stack, number) => {
        const [before, after] = countsOf(stack, choice);
        if (before === 0 && after === 0) {
            return;
        }
        stack.frames.forEach((frame, i) => {
            const row = rows.ofFrame[frame];
            let entry = table.get(row);
            if (entry === undefined) {
                entry = { row, own: 0, total: 0, ownBefore: 0, totalBefore: 0, last: -1 };
                table.set(row, entry);
            }
            if (i === 0) {
                entry.own += after;
                entry.ownBefore += before;
            }
            if (entry.last !== number) { // recursion counts once
                entry.total += after;
                entry.totalBefore += before;
                entry.last = number;
            }
        });
    });
    return [...table.values()].map((entry) => ({
        name: rows.names[entry.row],
        title: rows.titles[entry.row],
        own: entry.own,
        total: entry.total,
        ownChange: entry.own - entry.ownBefore,
        totalChange: entry.total - entry.totalBefore,
    }));
}

// The least-squares slope of counts over 0, 1, 2 ..., and how much of their variation it explains.
export function fitLine(counts) {
    const middle = (counts.length - 1) / 2;
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    let covariance = 0;
    let variance = 0;
    let spread = 0;
    counts.forEach((count, i) => {
        covariance += (i - middle) * (count - mean);
        variance += (i - middle) ** 2;
        spread += (count - mean) ** 2;
    });
    const slope = variance > 0 ? covariance / variance : 0;
    return { slope, steadiness: spread > 0 ? slope * covariance / spread : 0 };
}

// Stacks that grow from dump to dump, and how fast; stacks of equal rows are one.
export function makeGrowth(data, choice) {
    const rows = makeRows(data, choice.rows);
    const merged = new Map();
    for (const stack of data.stacks) {
        const numbers = stack.frames.map((frame) => rows.ofFrame[frame]);
        const key = numbers.join(',');
        let entry = merged.get(key);
        if (entry === undefined) {
            entry = { numbers, counts: data.dumps.map(() => 0) };
            merged.set(key, entry);
        }
        stack.counts.forEach((counts, dump) => { entry.counts[dump] += counts[choice.measure]; });
    }
    const growing = [];
    for (const { numbers, counts } of merged.values()) {
        const line = fitLine(counts);
        if (line.slope > 0) {
            growing.push({ names: numbers.map((row) => rows.names[row]), counts, ...line });
        }
    }
    return growing;
}

// What a search finds: a regular expression, or the text itself where it is none. NULL: all.
export function makePattern(text) {
    if (text === '') {
        return null;
    }
    try {
        return new RegExp(text, 'i');
    } catch {
        return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'i');
    }
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

export function formatCount(count, unit) {
    if (unit !== 'bytes') {
        return Math.round(count).toLocaleString('en-US');
    }
    let size = count;
    let i = 0;
    while (Math.abs(size) >= 1024 && i + 1 < UNITS.length) {
        size /= 1024;
        i++;
    }
    return `${i === 0 ? Math.round(size) : size.toFixed(1)} ${UNITS[i]}`;
}

export function formatChange(count, unit) {
    return (count > 0 ? '+' : '') + formatCount(count, unit);
}

export function formatPart(count, total) {
    return total === 0 ? '' : `${(100 * count / total).toFixed(1)}%`;
}
