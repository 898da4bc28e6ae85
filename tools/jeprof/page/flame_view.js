// flame_view.js: the flame graph, by d3-flame-graph, with colours, labels and keys of our own.
import flamegraph from 'd3-flame-graph';
import { select } from 'd3-selection';

import { formatChange, formatCount, formatPart, makeTree } from './profile_data.js';

const CELL_HEIGHT = 19;
const UNCHANGED = [222, 222, 222];
const GREW = [240, 105, 100];
const SHRANK = [120, 165, 250];
const FOUND = 'rgb(208, 120, 255)';

function mix(from, to, strength) {
    return `rgb(${from.map((part, i) => Math.round(part + (to[i] - part) * strength)).join(',')})`;
}

// A warm colour by name, light enough for dark letters.
function nameColor(name) {
    let hash = 2166136261;
    for (let i = 0; i < name.length; i++) {
        hash = Math.imul(hash ^ name.charCodeAt(i), 16777619) >>> 0;
    }
    return `rgb(${235 + hash % 20},${150 + (hash >>> 8) % 75},${80 + (hash >>> 16) % 50})`;
}

function changeColor(node) {
    const change = node.after - node.before;
    const larger = Math.max(node.after, node.before, 1);
    return mix(UNCHANGED, change > 0 ? GREW : SHRANK, Math.min(Math.abs(change) / larger, 1));
}

export class FlameView {
    // onDetails gets a line about the frame under the mouse or the focus, or about a search.
    constructor(element, onDetails) {
        this.element = element;
        this.onDetails = onDetails;
        this.focusedId = 0;
        element.addEventListener('keydown', (event) => this.onKey(event));
        element.addEventListener('focusin', (event) => this.onFocus(event));
    }

    // Shows the tree of a choice; state has data, choice, unit, isInverted.
    show(state) {
        this.state = state;
        this.root = makeTree(state.data, state.choice, state.isInverted);
        this.focusedId = 0;
        this.element.replaceChildren();
        if (this.root.value === 0) {
            this.element.textContent = 'Nothing is counted here.';
            this.chart = null;
            return;
        }
        const isDiff = state.choice.base >= 0;
        this.chart = flamegraph()
            .width(this.width())
            .cellHeight(CELL_HEIGHT)
            .transitionDuration(0)
            .minFrameSize(1)
            .inverted(state.isInverted)
            .tooltip(null)
            .label((node) => this.describe(node.data))
            .onHover((node) => this.onDetails(this.describe(node.data)))
            .onClick((node) => { this.focusedId = node.id; this.decorate(); })
            .setSearchMatch((node) => this.pattern !== null && this.pattern.test(node.data.name))
            .setSearchHandler((found, sum, total) => this.tellFound(found, sum, total))
            .setColorMapper((node) => (node.highlight ? FOUND
                : isDiff ? changeColor(node.data) : nameColor(node.data.name)));
        select(this.element).datum(this.root).call(this.chart);
        select(this.element).select('svg')
            .attr('role', 'tree')
            .attr('aria-label', 'Flame graph')
            .select('text.title').remove();
        this.decorate();
    }

    width() {
        return Math.max(this.element.clientWidth, 300);
    }

    resize() {
        if (this.chart) {
            this.chart.width(this.width()).update();
            this.decorate();
        }
    }

    describe(node) {
        const { unit, choice } = this.state;
        const count = formatCount(node.after, unit);
        if (choice.base < 0) {
            return `${node.title}: ${count}, ${formatPart(node.after, this.root.after)}`;
        }
        return `${node.title}: ${count}, ${formatChange(node.after - node.before, unit)} since ` +
            formatCount(node.before, unit);
    }

    tellFound(found, sum) {
        this.onDetails(found.length === 0 ? 'No frame matches.'
            : `${found.length} frames match: ${formatPart(sum, this.root.value)} of the graph`);
    }

    search(pattern) {
        this.pattern = pattern;
        if (!this.chart) {
            return;
        }
        if (pattern === null) {
            this.chart.clear();
            this.onDetails('');
        } else {
            this.chart.search('search');
        }
        this.decorate();
    }

    reset() {
        if (this.chart) {
            this.chart.resetZoom();
        }
    }

    // What d3-flame-graph leaves out for keyboards and screen readers. One frame is reached by Tab.
    decorate() {
        const frames = select(this.element).selectAll('g.frame');
        const ids = new Set();
        frames.each((node) => { ids.add(node.id); });
        if (!ids.has(this.focusedId)) {
            this.focusedId = 0;
        }
        frames.attr('role', 'treeitem')
            .attr('aria-level', (node) => node.depth + 1)
            .attr('aria-label', (node) => this.describe(node.data))
            .attr('tabindex', (node) => (node.id === this.focusedId ? 0 : -1));
    }

    frameOf(id) {
        return select(this.element).selectAll('g.frame').filter((node) => node.id === id);
    }

    onFocus(event) {
        const frame = event.target.closest('g.frame');
        if (frame) {
            const node = select(frame).datum();
            this.frameOf(this.focusedId).attr('tabindex', -1);
            this.focusedId = node.id;
            select(frame).attr('tabindex', 0);
            this.onDetails(this.describe(node.data));
        }
    }

    // The frame that an arrow leads to: up and down as they are drawn, else among neighbours.
    neighbour(node, key) {
        const visible = (list) => list.filter((other) => !this.frameOf(other.id).empty());
        if (key === 'ArrowLeft' || key === 'ArrowRight') {
            const row = [];
            select(this.element).selectAll('g.frame').each((other) => {
                if (other.depth === node.depth && other.value > 0) {
                    row.push(other);
                }
            });
            row.sort((a, b) => a.x0 - b.x0);
            return row[row.indexOf(node) + (key === 'ArrowRight' ? 1 : -1)];
        }
        const isInward = (key === 'ArrowUp') !== this.state.isInverted;
        return isInward ? visible(node.children || [])[0] : node.parent;
    }

    onKey(event) {
        const frame = event.target.closest('g.frame');
        if (!frame || !this.chart) {
            return;
        }
        const node = select(frame).datum();
        if (event.key === 'Enter' || event.key === ' ') {
            event.preventDefault();
            this.chart.zoomTo(node);
            this.focus(node);
        } else if (event.key.startsWith('Arrow')) {
            event.preventDefault();
            const next = this.neighbour(node, event.key);
            if (next) {
                this.focus(next);
            }
        }
    }

    focus(node) {
        const frame = this.frameOf(node.id).node();
        if (frame) {
            frame.focus();
        }
    }
}
