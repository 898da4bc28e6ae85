// node_work.js: JSON, Buffers, compression, maps, worker threads with transferred and with
// shared memory. Prints results only.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const crypto = require('node:crypto');
const zlib = require('node:zlib');

const hash = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

function buildRows(count, seed) {
    const rows = [];
    for (let i = 0; i < count; i++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        const list = [seed & 255, seed >>> 24];
        rows.push({ id: i, key: `key-${seed % 5003}`, list, deep: { i } });
    }
    return rows;
}

function work(seed) {
    const text = JSON.stringify(buildRows(20000, seed));
    const packed = zlib.gzipSync(text);
    const same = zlib.gunzipSync(packed).toString() === text;
    const chunks = [];
    for (let size = 1; size < 3000; size++) {
        chunks.push(Buffer.alloc(size, size & 255));
    }
    const joined = Buffer.concat(chunks);
    return { seed, text: hash(text), same, joined: hash(joined), bytes: joined.length };
}

function runWorker(seed, shared) {
    return new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: { seed, shared } });
        worker.once('message', resolve);
        worker.once('error', reject);
    });
}

async function main() {
    console.log(JSON.stringify(work(1)));
    const shared = new SharedArrayBuffer(64);
    const answers = await Promise.all([2, 3, 4, 5].map((seed) => runWorker(seed, shared)));
    for (const { result, transferred } of answers) {
        console.log(JSON.stringify(result), hash(Buffer.from(transferred)));
    }
    console.log('shared', new Int32Array(shared)[0]);
    const groups = new Map();
    for (const row of JSON.parse(JSON.stringify(buildRows(30000, 9)))) {
        groups.set(row.key, (groups.get(row.key) ?? 0) + row.list[0]);
    }
    console.log('groups', groups.size, [...groups].sort().slice(0, 3).join(' '));
    const words = 'the quick brown fox '.repeat(2000);
    console.log('words', hash(words.replace(/(\w+) (\w+)/g, '$2 $1')));
}

if (isMainThread) {
    main();
} else {
    const counter = new Int32Array(workerData.shared);
    for (let i = 0; i < 1000; i++) {
        Atomics.add(counter, 0, 1);
    }
    const block = new Uint8Array(1 << 20).fill(workerData.seed).buffer;
    parentPort.postMessage({ result: work(workerData.seed), transferred: block }, [block]);
}
