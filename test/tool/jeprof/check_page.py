#!/usr/bin/env python3
"""check_page.py: the page of jeprof --html and the picture of --flame, in a real browser.

    check_page.py --jeprof FILE [--axe FILE] [--screenshot FILE] FOLDER

Goal: what a user does works: search, zoom, inverted, table, comparison, growth, both themes, all by
keyboard; nothing is loaded, no error is on the console, and axe-core finds nothing to complain of.
Method: made profiles with known counts, their page in headless Chromium. Prints "SKIPPED" when
there is no browser, or when jeprof was built without the page.
"""
import argparse
import base64
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

# pylint: disable=wrong-import-position
import webdriver

SECONDS_TO_SETTLE = 20  # far more than it takes, for busy machines

FOUND = "rgb(208, 120, 255)"  # the page's colour of what a search found
SYMBOLS = ["0x10 malloc", "0x1f cache_fill(int)--cache_take", "0x2f log_append", "0x3f request_run",
           "0x4f main", "0x5f table_grow", "0x6f <T> parse", "0x7f worker_run"]
STACKS = {"cache": "0x10 0x20 0x40 0x50", "log": "0x10 0x30 0x40 0x50",
          "table": "0x10 0x60 0x50", "parse": "0x10 0x70 0x80"}
# By dump: live bytes of each stack, 100 bytes an object. "log" leaks, "table" shrinks.
DUMPS = [
    ("page.7.0.m0.heap", {"cache": 400000, "log": 100000, "table": 300000, "parse": 50000}),
    ("page.7.2.m2.heap", {"cache": 390000, "log": 200000, "table": 200000, "parse": 60000}),
    ("page.7.10.m10.heap", {"cache": 410000, "log": 300000, "table": 100000, "parse": 40000}),
]


def write_dumps(folder):
    paths = []
    for name, counts in DUMPS:
        lines = ["--- symbol", "binary=/usr/bin/shop", *SYMBOLS, "---", "--- heap", "heap_v2/1",
                 "  t*: 1: 1 [0: 0]"]
        for stack, size in counts.items():
            objects = size // 100
            lines += [f"@ {STACKS[stack]}",
                      f"  t*: {objects}: {size} [{2 * objects}: {3 * size}]"]
        lines += ["", "SOURCE_LINES:", "0x1f\tcache.c:30\tcache.c:7", "0x2f\tlog.c:12",
                  "0x3f\trequest.c:40", "0x4f\tmain.c:9", "0x5f\ttable.c:77", ""]
        path = os.path.join(folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines))
        paths.append(path)
    return paths


class Check:
    def __init__(self, arguments):
        self.arguments = arguments
        self.failures = 0
        self.checked = 0
        self.browser = None

    def expect(self, what, actual, expected):
        """actual may be a function: the page moves frames after the next picture is drawn."""
        self.checked += 1
        if callable(actual):
            end = time.monotonic() + SECONDS_TO_SETTLE
            while actual() != expected and time.monotonic() < end:
                time.sleep(0.02)
            actual = actual()
        if actual != expected:
            self.failures += 1
            print(f"FAILED: {what}: {actual!r}, not {expected!r}", flush=True)

    def make(self, option, name, *words):
        path = os.path.join(self.arguments.folder, name)
        result = subprocess.run([self.arguments.jeprof, option, *words], capture_output=True,
                                check=False)
        if b"not in this build" in result.stderr:
            return None
        self.expect(f"{option} is made", result.returncode, 0)
        with open(path, "wb") as file:
            file.write(result.stdout)
        return os.path.realpath(path)

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector):
        return self.browser.run("return Array.from(document.querySelectorAll(arguments[0]), "
                                "(one) => one.textContent)", selector)

    def choose(self, selector, value):
        self.browser.run("const one = document.querySelector(arguments[0]); one.value = "
                         "arguments[1]; one.dispatchEvent(new Event('change'))", selector, value)

    def frame(self, name, what="width"):
        """A fact of the frame of a name: its width, fill, level; None: there is none."""
        return self.browser.run("""
            const frame = Array.from(document.querySelectorAll('#chart g.frame'))
                .find((one) => one.getAttribute('name') === arguments[0]);
            if (!frame) { return null; }
            const rect = frame.querySelector('rect');
            return { width: Math.round(Number(rect.getAttribute('width'))),
                     fill: rect.getAttribute('fill'), element: frame,
                     level: frame.getAttribute('aria-level'),
                     label: frame.getAttribute('aria-label') }[arguments[1]];""", name, what)

    def focused(self):
        return self.browser.run("return document.activeElement.getAttribute('name')")

    def no_errors(self, where):
        lines = [line["message"] for line in self.browser.log() if line["level"] == "SEVERE"]
        self.expect(f"console after {where}", lines, [])

    def accessible(self, where):
        """What axe-core finds wrong, as "RULE: ELEMENT" lines."""
        if self.arguments.axe is None:
            return
        with open(self.arguments.axe, encoding="utf-8") as file:
            self.browser.run(file.read())
        found = self.browser.run_async("""
            const done = arguments[arguments.length - 1];
            axe.run().then((result) => done(result.violations.flatMap((rule) =>
                rule.nodes.map((node) => rule.id + ': ' + node.target.join(' ')))));""")
        self.expect(f"axe on {where}", found, [])

    def check_flame(self):
        browser = self.browser
        self.expect("heading", self.text("#heading"), "shop: 830.1 KB")
        self.expect("title", browser.run("return document.title"), "jeprof: shop")
        whole = self.frame("all")
        self.expect("a part's width", lambda: self.frame("log_append"), round(whole * 300 / 850))
        self.expect("a label", lambda: self.frame("log_append", "label"),
                    "log_append: 293.0 KB, 35.3%")
        self.expect("parameters are left out, as in tables",
                    lambda: self.frame("cache_take"),
                    round(whole * 410 / 850))
        browser.click_element(self.frame("table_grow", "element"))
        self.expect("zoom to a click", lambda: self.frame("table_grow"), whole)
        self.expect("what is not below it is gone", lambda: self.frame("log_append"), None)
        browser.click("#reset")
        self.expect("whole again", lambda: self.frame("table_grow"), round(whole * 100 / 850))

    def check_search(self):
        browser = self.browser
        browser.press("/")
        browser.type("#search", "^LOG_")
        self.expect("a search is marked", lambda: self.frame("log_append", "fill"), FOUND)
        self.expect("a search is counted", self.text("#details"),
                    "1 frames match: 35.3% of the graph")
        self.expect("the rest is not marked",
                    lambda: self.frame("table_grow", "fill") == FOUND, False)
        browser.press("Escape")
        self.expect("Escape ends it",
                    lambda: self.frame("log_append", "fill") == FOUND, False)
        browser.type("#search", "T> (")
        self.expect("what is no expression is searched as it stands", self.text("#details"),
                    "No frame matches.")
        browser.press("Escape")

    def check_keyboard(self):
        browser = self.browser
        browser.run("document.querySelector('#chart g.frame[tabindex=\"0\"]').focus()")
        self.expect("Tab reaches the root", self.focused(), "all")
        self.expect("its only", browser.run("return document.querySelectorAll("
                                            "'#chart g.frame[tabindex=\"0\"]').length"), 1)
        for key, name in (("ArrowUp", "main"), ("ArrowRight", "worker_run"), ("ArrowLeft", "main"),
                          ("ArrowUp", "request_run"), ("ArrowRight", "table_grow")):
            browser.press(key)
            self.expect(f"{key}", self.focused(), name)
        whole = self.frame("all")
        browser.press("Enter")
        self.expect("Enter zooms", lambda: self.frame("table_grow"), whole)
        self.expect("the focus stays", self.focused(), "table_grow")
        browser.press("ArrowDown")
        self.expect("ArrowDown", self.focused(), "main")
        browser.press("Escape")
        self.expect("Escape shows all", lambda: self.frame("worker_run") is None, False)

    def check_inverted(self):
        whole = self.frame("all")
        self.browser.press("i")
        self.expect("inverted: the allocating frames are side by side",
                    lambda: (self.frame("log_append"), self.frame("log_append", "level")),
                    (round(whole * 300 / 850), "2"))
        self.expect("their callers are above", self.frame("request_run", "level"), "3")
        self.expect("pressed", self.browser.run("return document.getElementById('inverted')"
                                                ".getAttribute('aria-pressed')"), "true")
        self.browser.click("#inverted")

    def check_choices(self):
        self.choose("#measure", 1)
        self.expect("objects", self.text("#heading"), "shop: 8,500")
        self.choose("#measure", 2)
        self.expect("allocated", self.text("#heading"), "shop: 2.4 MB")
        self.choose("#measure", 0)
        self.expect("dumps in the order of their numbers", self.texts("#dump option"),
                    [name for name, _ in DUMPS])
        self.choose("#dump", 0)
        self.expect("another dump", self.text("#heading"), "shop: 830.1 KB")
        self.choose("#dump", 2)

    def check_table(self):
        browser = self.browser
        browser.click("#tab-table")
        self.expect("rows", self.texts("#table tbody code")[:2], ["cache_take", "log_append"])
        self.expect("counts", self.texts("#table tbody tr:nth-child(2) td")[:4],
                    ["293.0 KB", "35.3%", "293.0 KB", "35.3%"])
        browser.click("#table th:nth-child(3) button")
        self.expect("sorted with callees", self.texts("#table tbody code")[0], "main")
        self.expect("and said", browser.run("return document.querySelector('#table "
                                            "th:nth-child(3)').getAttribute('aria-sort')"),
                    "descending")
        browser.type("#search", "grow")
        self.expect("searched", self.texts("#table tbody code"), ["table_grow"])
        self.choose("#rows", "lines")
        self.expect("lines", self.texts("#table tbody code"), ["table_grow table.c:77"])
        browser.press("Escape")
        self.choose("#rows", "functions")

    def check_diff(self):
        browser = self.browser
        self.choose("#base", 0)
        rows = self.browser.run("""return Object.fromEntries(Array.from(
            document.querySelectorAll('#table tbody tr'), (row) =>
            [row.querySelector('code').textContent, row.children[4].textContent + ' ' +
             row.children[4].className]));""")
        self.expect("what grew", rows["log_append"], "+195.3 KB grew")
        self.expect("what shrank", rows["table_grow"], "-195.3 KB shrank")
        browser.click("#tab-flame")
        red = [int(part) for part in self.frame("log_append", "fill")[4:-1].split(",")]
        blue = [int(part) for part in self.frame("table_grow", "fill")[4:-1].split(",")]
        self.expect("red grew", red[0] > red[2] + 50, True)
        self.expect("blue shrank", blue[2] > blue[0] + 50, True)
        self.expect("said in words", lambda: self.frame("table_grow", "label"),
                    "table_grow: 97.7 KB, -195.3 KB since 293.0 KB")
        # Each stack is as wide as the larger of its counts: 410 + 300 + 300 + 50.
        self.expect("width", lambda: self.frame("table_grow"),
                    round(self.frame("all") * 300 / 1060))
        self.expect("legend", self.text("#legend"), "grewshrank")

    def check_growth(self):
        self.browser.click("#tab-growth")
        self.expect("only what grows, the fastest first", self.texts("#growth tbody summary"),
                    ["log_append \u2190 request_run \u2190 main",
                     "cache_take \u2190 cache_fill \u2190 request_run \u2190 \u2026"])
        self.expect("its numbers", self.texts("#growth tbody tr:first-child td")[:4],
                    ["+97.7 KB", "97.7 KB", "293.0 KB", "100.0%"])
        self.browser.click("#growth tbody tr:nth-child(2) summary")
        self.expect("the whole stack",
                    self.texts("#growth tbody tr:nth-child(2) li"),
                    ["cache_take", "cache_fill", "request_run", "main"])

    def check_both_themes(self):
        for theme in ("light", "dark"):
            for tab in ("flame", "table", "growth"):
                self.browser.click(f"#tab-{tab}")
                self.accessible(f"{tab}, {theme}")
            self.browser.click("#theme")
        self.expect("nothing was loaded", self.browser.run(
            "return performance.getEntriesByType('resource').map((one) => one.name)"), [])

    def check_tabs_by_key(self):
        self.browser.click("#tab-flame")
        self.browser.press("ArrowRight")
        self.expect("an arrow opens the next tab", self.browser.run(
            "return document.getElementById('panel-table').hidden"), False)
        self.browser.press("1")
        self.expect("1 opens the first", self.browser.run(
            "return document.getElementById('panel-flame').hidden"), False)

    def check_large(self):
        """Of a large graph the narrowest frames are left out, which is said."""
        lines = ["--- symbol", "binary=/usr/bin/large"]
        lines += [f"0x{0x1000 + 16 * i - 1:x} f{i}" for i in range(1, 30001)]
        lines += ["---", "--- heap", "heap_v2/1"]
        for i in range(300):
            stack = [f"0x{0x1000 + 16 * (100 * i + depth):x}" for depth in range(100, 0, -1)]
            lines += ["@ 0x10 " + " ".join(stack), f"  t*: 1: {100000 + i} [0: 0]"]
        path = os.path.join(self.arguments.folder, "large.heap")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.browser.open(self.make("--html", "large.html", path))
        self.expect("frames left out", self.text("#flame-note"),
                    # 300 stacks of 101 frames: the widest 199 have 20,000 with the root.
                    "The 10201 narrowest frames are left out; the table has all.")
        self.expect("the widest stay", lambda: self.frame("f30000") is None, False)
        self.expect("one dump has no growth", self.browser.run(
            "return document.getElementById('tab-growth').hidden"), True)

    def check_base_option(self, path):
        """--base opens the page as a comparison; one dump has nothing to compare."""
        self.browser.open(path)
        self.expect("--base is the comparison",
                    self.text("#heading"), "shop: 830.1 KB (0 B since page.7.0.m0.heap)")

    def check_picture(self, path):
        self.browser.open(path)
        self.expect("a picture's heading", self.text("text.heading"), "In use, bytes: 830.1 KB")
        width = "return Math.round(Number(Array.from(document.querySelectorAll('.frame')).find(" \
                "(one) => one.querySelector('text').dataset.name === arguments[0])" \
                ".querySelector('rect').getAttribute('width')))"
        self.expect("a part of it", self.browser.run(width, "log_append"), round(1200 * 300 / 850))
        element = self.browser.run("return Array.from(document.querySelectorAll('.frame')).find("
                                   "(one) => one.querySelector('text').dataset.name === "
                                   "'log_append')")
        self.browser.click_element(element)
        self.expect("zoomed", self.browser.run(width, "log_append"), 1200)
        self.browser.press("Escape")
        self.expect("and back", self.browser.run(width, "log_append"), round(1200 * 300 / 850))
        self.browser.open(path + "#search=^log_")
        self.browser.run("window.location.reload()")
        self.expect("searched", self.text(".details"),
                    "found: 35.3% in frames that match ^log_")

    def take_screenshot(self):
        self.browser.click("#tab-flame")
        with open(self.arguments.screenshot, "wb") as file:
            file.write(base64.b64decode(self.browser.screenshot()))

    def check_page(self, path):
        self.browser.open(path)
        for check in (self.check_flame, self.check_search, self.check_keyboard,
                      self.check_inverted, self.check_choices, self.check_table, self.check_diff,
                      self.check_growth, self.check_tabs_by_key, self.check_both_themes):
            check()
            self.no_errors(check.__name__)
        if self.arguments.screenshot:
            self.take_screenshot()

    def run(self):
        dumps = write_dumps(self.arguments.folder)
        # Named in the order of a shell: 0, 10, 2.
        page = self.make("--html", "page.html", dumps[0], dumps[2], dumps[1])
        if page is None:
            print("SKIPPED: jeprof was built without its page")
            return 0
        with_base = self.make("--html", "base.html", f"--base={dumps[0]}", dumps[2])
        picture = self.make("--flame", "picture.svg", dumps[2])
        self.browser = webdriver.Browser()
        try:
            self.check_page(page)
            self.check_base_option(with_base)
            self.check_large()
            self.check_picture(picture)
            self.no_errors("the others")
        finally:
            self.browser.close()
        print(f"{self.checked} checks, {self.failures} failures")
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(description="Checks the page of jeprof --html.")
    parser.add_argument("--jeprof", required=True)
    parser.add_argument("--axe", help="axe-core's script; without it accessibility is not checked")
    parser.add_argument("--screenshot", help="a PNG to write")
    parser.add_argument("folder", help="for what is made")
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    if not webdriver.is_installed():
        print("SKIPPED: no chromium, or no chromedriver")
        return 0
    return Check(arguments).run()


if __name__ == "__main__":
    sys.exit(main())
