// build_page.mjs: makes the one file of --html: build_page.mjs OUTPUT. Script and style are bundled
// and put into page.html, so the page loads nothing.
import { build } from 'esbuild';
import { readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('.', import.meta.url).pathname;

async function bundle(name) {
    const result = await build({
        entryPoints: [folder + name],
        bundle: true,
        write: false,
        minify: true,
        keepNames: true, // d3-flame-graph asks for the name of a class
        format: 'iife',
        target: 'es2020',
        loader: { '.css': 'empty' }, // packages' styles: page.css has its own
        legalComments: 'none',
        logLevel: 'warning',
    });
    return result.outputFiles[0].text;
}

async function bundleStyle(name) {
    const result = await build({ entryPoints: [folder + name], minify: true, write: false });
    return result.outputFiles[0].text;
}

// Inside an element, "</" would end it.
const script = (await bundle('page.js')).replaceAll('</', '<\\/');
const style = await bundleStyle('page.css');
const page = readFileSync(folder + 'page.html', 'utf8')
    .replace('PAGE_STYLE', () => style)
    .replace('PAGE_SCRIPT', () => script);
writeFileSync(process.argv[2], page);
