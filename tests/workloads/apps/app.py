"""A small server as people write them: pages, notes in a database, uploads, a helper program, a backend.

Its argument is the settings file.
"""
import http.server
import json
import logging
import logging.handlers
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request

with open(sys.argv[1]) as settings_file:
    settings = json.load(settings_file)
folder = settings["folder"]
log = logging.getLogger("app")
log.setLevel(logging.INFO)
# Small, so that every few hundred requests rotate it.
log.addHandler(logging.handlers.RotatingFileHandler(f"{folder}/app.log", maxBytes=20_000, backupCount=3))


def database():
    connection = sqlite3.connect(f"{folder}/notes.db", timeout=10)
    connection.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
    return connection


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/files/"):
            try:
                with open(f"{folder}/data/{os.path.basename(self.path)}", "rb") as page:
                    self.reply(page.read())
            except OSError:
                self.reply(b"no such file\n", 404)
        elif self.path == "/run":
            self.reply(subprocess.run(["date", "-u"], capture_output=True, check=True).stdout)
        elif self.path == "/backend":
            with urllib.request.urlopen(settings["backend"]) as answer:
                self.reply(answer.read())
        else:
            self.reply(b"hello\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/notes":
            connection = database()
            with connection:
                connection.execute("INSERT INTO notes (text) VALUES (?)", (body.decode(),))
                connection.execute("DELETE FROM notes WHERE id <= (SELECT MAX(id) FROM notes) - 50")
            connection.close()
        else:
            with tempfile.NamedTemporaryFile(dir=f"{folder}/tmp") as upload:
                upload.write(body)
                upload.flush()
        self.reply(b"stored\n")

    def log_message(self, form, *values):
        log.info(form, *values)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


Server(("127.0.0.1", settings["port"]), Handler).serve_forever()
