#!/usr/bin/env python3
"""remote_server.py: a program that serves its heap profile, for the tests of jeprof.

    remote_server.py FOLDER

It serves FOLDER/profile as /pprof/heap, also below /debug and behind a redirection (/moved), and as
services that gather; /pprof/cut is cut short. Names of addresses are those of FOLDER/names, one
"0xADDRESS NAME" a line; without that file it knows none. The port is written to FOLDER/port, each
request to FOLDER/log.
"""
import http.server
import os
import sys

FOLDER = sys.argv[1]


def read(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, format, *args):
        pass

    def answer(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self, body=""):
        with open(os.path.join(FOLDER, "log"), "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path} {body}".rstrip() + "\n")

    def do_GET(self):
        self.note()
        path = self.path.split("?")[0].removeprefix("/debug")
        if path in ("/pprof/heap", "/pprof/growth", "/pprof/profile"):
            self.answer(read("profile"))
        elif path == "/pprof/cut":
            self.answer(read("profile")[:-3])
        elif path == "/moved/pprof/heap":
            self.answer(b"", 302, Location="/pprof/heap")
        elif path == "/pprof/cmdline":
            self.answer(b"/bin/served\0--flag\0")
        else:
            self.answer(b"there is no such thing", 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.note(body)
        if not self.path.endswith("/pprof/symbol") or not os.path.exists(FOLDER + "/names"):
            self.answer(b"none", 404)
            return
        known = dict(line.split(" ", 1) for line in read("names").decode().splitlines())
        found = [f"{address}\t{known[address]}" for address in body.split("+") if address in known]
        self.answer("\n".join(["num_symbols: 1", *found, ""]).encode())


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
with open(os.path.join(FOLDER, "port.new"), "w", encoding="utf-8") as port_file:
    port_file.write(str(server.server_port))
os.rename(os.path.join(FOLDER, "port.new"), os.path.join(FOLDER, "port"))
server.serve_forever()
