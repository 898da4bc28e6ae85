"""accept_servers.py: network servers under load: memcached, varnishd, named.

Goal and method as in accept.py. Loopback only, ports free at the time; replies go into the
output, ports and process ids do not. Debian links varnishd and named with libjemalloc.so.2: the
*_replace cases put the library under test in that place by LD_LIBRARY_PATH.
"""

import hashlib
import http.client
import http.server
import signal
import socket
import threading
from pathlib import Path

from accept_harness import Case, check, free_port

CLIENT_LIMIT_S = 10


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def children_of(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


class MemcachedClient:
    """The text protocol, as much of it as the test speaks."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), CLIENT_LIMIT_S)
        self.file = self.socket.makefile("rwb")

    def ask(self, line, data=None):
        self.file.write(line.encode() + b"\r\n")
        if data is not None:
            self.file.write(data + b"\r\n")
        self.file.flush()
        return self.file.readline().decode().strip()

    def get(self, key):
        head = self.ask(f"get {key}").split()
        if head[0] == "END":
            return None
        data = self.file.read(int(head[3]) + 2)[:-2]
        check(self.file.readline() == b"END\r\n", "END follows a value")
        return data

    def stats(self):
        self.file.write(b"stats\r\n")
        self.file.flush()
        values = {}
        while (line := self.file.readline().decode().split()) != ["END"]:
            check(line[:1] == ["STAT"], f"unexpected line {line}")
            values[line[1]] = line[2]
        return values

    def close(self):
        self.file.close()
        self.socket.close()


def value_of(thread, i):
    size = (i * 7919 + thread) % 5000 if i % 100 else 200_000
    return (f"{thread}.{i}." * (size // 5 + 1)).encode()[:size]


def memcached_load(port, thread, results):
    client = MemcachedClient(port)
    stored = sum(client.ask(f"set k{thread}.{i} 0 0 {len(value_of(thread, i))}",
                            value_of(thread, i)) == "STORED" for i in range(600))
    same = sum(client.get(f"k{thread}.{i}") == value_of(thread, i) for i in range(600))
    deleted = sum(client.ask(f"delete k{thread}.{i}") == "DELETED" for i in range(0, 600, 3))
    client.ask(f"set n{thread} 0 0 1", b"0")
    for _ in range(200):
        last = client.ask(f"incr n{thread} {thread + 1}")
    appended = client.ask(f"append k{thread}.1 0 0 4", b"tail")
    tail = client.get(f"k{thread}.1")[-8:]
    results[thread] = f"{stored} {same} {deleted} {last} {appended} {tail}"
    client.close()


def run_memcached(box):
    port = free_port()
    user = ["-u", "root"] if box.is_root else []
    server = box.start(["memcached", "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "4",
                        "-m", "128", *user])
    server.wait_ready(lambda: is_listening(port))
    results = ["no answer"] * 6
    threads = [threading.Thread(target=memcached_load, args=(port, i, results)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CLIENT_LIMIT_S * 3)
    client = MemcachedClient(port)
    stats = client.stats()
    flushed = client.ask("flush_all")
    client.close()
    box.check_mapped(server.process.pid)
    server.stop()
    return "\n".join([*results, stats["curr_items"], stats["total_items"], stats["threads"],
                      flushed]) + "\n"


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers each path with a body of its own, of 0 to 60,000 bytes."""

    def do_GET(self):
        number = int(self.path.rsplit("/", 1)[1])
        body = (f"body of {self.path};" * 4000).encode()[:number * 7919 % 60000]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=3600" if number % 5 else "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


VCL = """vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{port}"; }}
sub vcl_recv {{
    if (req.url ~ "^/forbidden/") {{ return (synth(403, "No " + req.url)); }}
    set req.url = regsub(req.url, "^/old/", "/new/");
}}
sub vcl_backend_response {{
    if (beresp.http.Cache-Control ~ "no-store") {{ set beresp.uncacheable = true; }}
    set beresp.do_gzip = beresp.http.Content-Length ~ "1$";
}}
sub vcl_deliver {{
    set resp.http.X-Count = obj.hits;
    unset resp.http.Age; unset resp.http.Date; unset resp.http.X-Varnish;
}}
"""


def fetch_all(port, rounds=3, count=150):
    lines = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CLIENT_LIMIT_S)
    for _ in range(rounds):
        for i in range(count):
            folder = ("old", "new", "other", "forbidden")[i % 4]
            connection.request("GET", f"/{folder}/{i}", headers={"Accept-Encoding": "gzip"})
            reply = connection.getresponse()
            body = reply.read()
            coded = reply.getheader("Content-Encoding")
            # The gzip header and the error page hold nothing variable but the page's own number.
            text = b"" if folder == "forbidden" else body
            lines.append(f"{i} {reply.status} {reply.getheader('X-Count')} {coded} "
                         f"{len(text)} {hashlib.sha256(text).hexdigest()[:12]}")
    connection.close()
    return "\n".join(lines) + "\n"


def run_varnishd(box):
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    serving = threading.Thread(target=backend.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    box.at_end.append(lambda: (backend.shutdown(), serving.join(), backend.server_close()))
    port = free_port()
    vcl_path = box.dir / "accept.vcl"
    vcl_path.write_text(VCL.format(port=backend.server_address[1]))
    server = box.start(["varnishd", "-F", "-n", box.dir / "varnish", "-j", "none",
                        "-f", vcl_path, "-a", f"127.0.0.1:{port}", "-s", "default,64m",
                        "-p", "vsl_space=8m", "-p", "thread_pool_min=20"])
    server.wait_ready(lambda: is_listening(port))
    output = fetch_all(port)
    workers = children_of(server.process.pid)
    check(len(workers) == 1, f"one cache worker expected, found {workers}")
    box.check_mapped(server.process.pid)
    box.check_mapped(workers[0])
    server.stop()
    check("Panic" not in server.log() and "died" not in server.log(), server.log()[-2000:])
    return output


NAMED_CONF = """options {{
    directory "{dir}"; pid-file "{dir}/named.pid"; session-keyfile "{dir}/session.key";
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no; allow-transfer {{ any; }};
    empty-zones-enable no; minimal-responses yes;
}};
controls {{ }};
zone "example.test" {{ type primary; file "{dir}/zone"; allow-update {{ 127.0.0.1; }}; }};
"""


def zone_text():
    lines = ["$TTL 300", "@ IN SOA ns.example.test. admin.example.test. 1 3600 600 86400 300",
             "@ IN NS ns", "ns IN A 127.0.0.1", "*.wild IN TXT \"any\"", "alias IN CNAME h7"]
    for i in range(2000):
        lines.append(f"h{i} IN A 10.1.{i // 256}.{i % 256}")
        lines.append(f"h{i} IN TXT \"{'text ' * (i % 40)}{i}\"")
    return "\n".join(lines) + "\n"


def run_named(box):
    port = free_port()
    (box.dir / "zone").write_text(zone_text())
    conf = box.dir / "named.conf"
    conf.write_text(NAMED_CONF.format(dir=box.dir, port=port))
    server = box.start(["named", "-g", "-n", "4", "-c", conf])
    server.wait_ready(lambda: "all zones loaded" in server.log())
    dig = ["dig", "@127.0.0.1", "-p", port, "+noall", "+answer", "+time=5", "+tries=2"]
    queries = box.dir / "queries"
    queries.write_text("".join(f"h{i * 31 % 2000}.example.test {kind}\n"
                               for i in range(300) for kind in ("A", "TXT")))
    output = box.run([*dig, "-f", queries])
    check(len(output.splitlines()) == 600, f"600 answers expected: {len(output.splitlines())}")
    for question in (["alias.example.test"], ["x.wild.example.test", "TXT"],
                     ["+tcp", "h9.example.test"],
                     ["+comments", "+noedns", "+nocookie", "nobody.example.test"]):
        reply = box.run([*dig, *question])
        output += "".join(line + "\n" for line in reply.splitlines() if "id:" not in line)
    transfer = box.run([*dig, "example.test", "AXFR"])
    check(len(transfer.splitlines()) > 4000, "the transfer is short")
    output += hashlib.sha256("\n".join(sorted(transfer.split("\n"))).encode()).hexdigest() + "\n"
    box.check_mapped(server.process.pid)
    server.stop(signal.SIGTERM)
    return output


CASES = (
    Case("memcached", run_memcached, ("memcached",)),
    Case("varnishd", run_varnishd, ("varnishd",)),
    Case("varnishd_replace", run_varnishd, ("varnishd",), "replace"),
    Case("named", run_named, ("named", "dig")),
    Case("named_replace", run_named, ("named",), "replace"),
)
