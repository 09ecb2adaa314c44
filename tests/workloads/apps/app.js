// A small server as people write them: pages, notes, uploads, a helper program, a backend.
// Its argument is the settings file. SIGUSR2 opens the log anew.
const { execFile } = require("child_process");
const { randomUUID } = require("crypto");
const fs = require("fs");
const http = require("http");

const settings = JSON.parse(fs.readFileSync(process.argv[2]));
const { folder } = settings;
const openLog = () => fs.createWriteStream(`${folder}/app.log`, { flags: "a" });
let log = openLog();
process.on("SIGUSR2", () => {
  log.end();
  log = openLog();
});

function reply(response, body, status = 200) {
  response.writeHead(status, { "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function store(path, body, response) {
  if (path === "/notes") {
    fs.appendFile(`${folder}/notes.jsonl`, JSON.stringify({ at: Date.now(), text: body.toString() }) + "\n", () =>
      reply(response, "stored\n"));
  } else {
    const name = `${folder}/tmp/${randomUUID()}`;
    fs.writeFile(name, body, () => fs.unlink(name, () => reply(response, "stored\n")));
  }
}

http
  .createServer((request, response) => {
    log.write(`${new Date().toISOString()} ${request.method} ${request.url}\n`);
    const path = request.url;
    if (request.method === "POST") {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => store(path, Buffer.concat(parts), response));
    } else if (path.startsWith("/files/")) {
      fs.readFile(`${folder}/data/${path.slice(7)}`, (error, body) =>
        error ? reply(response, "no such file\n", 404) : reply(response, body));
    } else if (path === "/run") {
      execFile("date", ["-u"], (error, body) => reply(response, error ? "failed\n" : body));
    } else if (path === "/backend") {
      http.get(settings.backend, (answer) => {
        answer.resume();
        answer.on("end", () => reply(response, "asked\n"));
      }).on("error", () => reply(response, "failed\n", 502));
    } else {
      reply(response, "hello\n");
    }
  })
  .listen(settings.port, "127.0.0.1", 64);
