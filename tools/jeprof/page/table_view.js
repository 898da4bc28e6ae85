// table_view.js: tables with columns to sort by. Rows beyond a thousand are left to a search.

const ROWS_MAX = 1000;

function cellOf(column, row) {
    const cell = document.createElement('td');
    const content = column.show(row);
    if (content instanceof Node) {
        cell.append(content);
    } else {
        cell.textContent = content;
    }
    if (column.change) {
        cell.className = row[column.key] > 0 ? 'grew' : row[column.key] < 0 ? 'shrank' : '';
    }
    return cell;
}

export class TableView {
    constructor(element, note) {
        this.head = element.querySelector('thead');
        this.body = element.querySelector('tbody');
        this.note = note;
        this.pattern = null;
    }

    // columns: {key, title, show(row), change}; sorted by the column named by, the largest first.
    show(columns, rows, by) {
        this.columns = columns;
        this.rows = rows;
        if (!columns.some((column) => column.key === this.by)) {
            this.by = by;
            this.isDescending = true;
        }
        this.showHead();
        this.showRows();
    }

    showHead() {
        const line = document.createElement('tr');
        for (const column of this.columns) {
            const head = document.createElement('th');
            const button = document.createElement('button');
            head.scope = 'col';
            button.type = 'button';
            button.textContent = column.title;
            button.addEventListener('click', () => this.sortBy(column));
            head.append(button);
            line.append(head);
            column.head = head;
        }
        this.head.replaceChildren(line);
    }

    sortBy(column) {
        this.isDescending = this.by === column.key ? !this.isDescending : column.key !== 'name';
        this.by = column.key;
        this.showRows();
    }

    search(pattern) {
        this.pattern = pattern;
        if (this.rows) {
            this.showRows();
        }
    }

    showRows() {
        const sign = this.isDescending ? -1 : 1;
        const by = this.by;
        const found = this.rows.filter((row) => this.pattern === null || this.pattern.test(row.name));
        found.sort((a, b) => (a[by] < b[by] ? -sign : a[by] > b[by] ? sign : a.name < b.name ? -1 : 1));
        for (const column of this.columns) {
            column.head.setAttribute('aria-sort', column.key !== by ? 'none'
                : this.isDescending ? 'descending' : 'ascending');
        }
        this.body.replaceChildren(...found.slice(0, ROWS_MAX).map((row) => {
            const line = document.createElement('tr');
            line.append(...this.columns.map((column) => cellOf(column, row)));
            return line;
        }));
        this.note.textContent = found.length > ROWS_MAX
            ? `The first ${ROWS_MAX} of ${found.length} rows; a search narrows them.`
            : `${found.length} of ${this.rows.length} rows`;
    }
}
