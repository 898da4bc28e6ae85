// flame.js: search and zoom of the picture that --flame writes. A click or Enter on a frame zooms
// to it; Escape goes back; Ctrl-F or "/" searches.
(function () {
    'use strict';
    const svg = document.documentElement;
    const width = Number(svg.dataset.width);
    const frames = Array.from(svg.querySelectorAll('.frame'));
    const details = svg.querySelector('.details');
    const LETTER = 7.3; // pixels of a character of the frames' font
    let found = '';

    function place(frame, x, wide) {
        const rect = frame.querySelector('rect');
        const text = frame.querySelector('text');
        const name = text.dataset.name;
        const letters = Math.floor((wide - 6) / LETTER);
        frame.style.display = wide > 0.1 ? '' : 'none';
        rect.setAttribute('x', x);
        rect.setAttribute('width', Math.max(wide, 0));
        text.setAttribute('x', x + 3);
        text.textContent = letters >= name.length ? name
            : letters >= 3 ? name.slice(0, letters - 2) + '..' : '';
    }

    // Shows the part of the picture below a frame: that frame and those around it fill the width.
    function zoom(frame) {
        const x = Number(frame.dataset.x);
        const wide = Number(frame.dataset.w);
        const depth = Number(frame.dataset.d);
        for (const other of frames) {
            const start = Number(other.dataset.x);
            const size = Number(other.dataset.w);
            // Coordinates are rounded to 1/100.
            const isOuter = Number(other.dataset.d) < depth && start <= x + 0.02 &&
                start + size >= x + wide - 0.02;
            const isInner = Number(other.dataset.d) >= depth && start >= x - 0.02 &&
                start + size <= x + wide + 0.02;
            other.classList.toggle('outer', isOuter);
            if (isOuter) {
                place(other, 0, width);
            } else {
                place(other, (start - x) / wide * width, isInner ? size / wide * width : 0);
            }
        }
    }

    // Marks the frames that match; their outermost add up.
    function search(pattern) {
        let expression;
        try {
            expression = new RegExp(pattern, 'i');
        } catch (error) {
            details.textContent = String(error.message);
            return;
        }
        found = pattern;
        const spans = [];
        for (const frame of frames) {
            const isFound = pattern !== '' &&
                expression.test(frame.querySelector('text').dataset.name);
            frame.classList.toggle('found', isFound);
            if (isFound) {
                spans.push([Number(frame.dataset.x), Number(frame.dataset.w)]);
            }
        }
        spans.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
        let end = 0;
        let sum = 0;
        for (const [start, size] of spans) {
            if (start >= end - 0.02) {
                sum += size;
                end = start + size;
            }
        }
        details.textContent = pattern === '' ? '' :
            'found: ' + (100 * sum / width).toFixed(1) + '% in frames that match ' + pattern;
    }

    function ask() {
        const pattern = window.prompt('Search for (a regular expression)', found);
        if (pattern !== null) {
            search(pattern);
        }
    }

    function button(label, x, action) {
        const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
        text.setAttribute('class', 'button');
        text.setAttribute('tabindex', '0');
        text.setAttribute('role', 'button');
        text.setAttribute('x', x);
        text.setAttribute('y', 22);
        text.textContent = label;
        text.addEventListener('click', action);
        text.addEventListener('keydown', (event) => {
            if (event.key === 'Enter' || event.key === ' ') {
                event.preventDefault();
                action();
            }
        });
        svg.append(text);
    }

    for (const frame of frames) {
        const show = () => { details.textContent = frame.querySelector('title').textContent; };
        frame.addEventListener('click', () => zoom(frame));
        frame.addEventListener('mouseover', show);
        frame.addEventListener('focus', show);
        frame.addEventListener('keydown', (event) => {
            if (event.key === 'Enter') {
                zoom(frame);
            }
        });
    }
    const root = frames[frames.length - 1];
    document.addEventListener('keydown', (event) => {
        if (event.key === 'Escape') {
            zoom(root);
        } else if (event.key === '/' || (event.key === 'f' && event.ctrlKey)) {
            event.preventDefault();
            ask();
        }
    });
    button('search', width - 130, ask);
    button('whole graph', width - 80, () => zoom(root));
    zoom(root);
    // "file.svg#search=NAME" opens with the search made.
    const asked = /^#search=(.*)/.exec(window.location.hash);
    if (asked !== null) {
        search(decodeURIComponent(asked[1]));
    }
}());
