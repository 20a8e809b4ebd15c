// The `ws` package as a server: one service for each path, plain and TLS at once.
//
// node ws_server.mjs FOLDER CHAIN KEY PORT TLS_PORT: FOLDER holds node_modules, CHAIN
// and KEY are PEM files. Says a line when it listens; ends when stdin ends.
import { readFileSync } from "node:fs";
import { createServer as createPlain } from "node:http";
import { createServer as createSecure } from "node:https";
import { createRequire } from "node:module";

const [folder, chain, key, plain, secure] = process.argv.slice(2);
const { WebSocketServer } = createRequire(folder + "/")("ws");

const common = {
  noServer: true,
  maxPayload: 2 << 20,
  handleProtocols: (offered) =>
    ["chat.v2", "chat"].find((name) => offered.has(name)) ?? false,
};
const deflating = new WebSocketServer({ ...common, perMessageDeflate: { threshold: 0 } });
const unanswering = new WebSocketServer({ ...common, autoPong: false });

const reports = {}; // what this side saw of each conversation that has ended
const waiting = {}; // who waits for a report
const rooms = new Set();

const echo = (ws) =>
  ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));

const services = {
  "/echo": echo,
  "/silent": echo,
  "/fragments"(ws) {
    ws.on("message", (data, isBinary) => {
      const third = Math.ceil(data.length / 3);
      for (const part of [0, 1, 2]) {
        const slice = data.subarray(part * third, (part + 1) * third);
        ws.send(slice, { binary: isBinary, fin: part === 2 });
      }
    });
  },
  "/headers"(ws, request) {
    ws.send(JSON.stringify(request.rawHeaders));
  },
  "/close"(ws, request, query) {
    ws.close(Number(query.get("code")), query.get("reason") ?? "");
  },
  "/leave"(ws) {
    ws.close();
  },
  "/terminate"(ws) {
    ws.on("message", () => ws.terminate());
  },
  "/ping"(ws) {
    ws.on("pong", (data) => ws.send(data, { binary: false }));
    ws.ping("are you there?");
  },
  // Everybody in the room hears what anybody says.
  "/broadcast"(ws) {
    rooms.add(ws);
    ws.on("close", () => rooms.delete(ws));
    ws.on("message", (data, isBinary) => {
      for (const member of rooms) member.send(data, { binary: isBinary });
    });
  },
  // A schedule: so many numbered messages at once, then so ends the connection.
  "/schedule"(ws, request, query) {
    for (let n = 0; n < Number(query.get("count")); n++) ws.send(String(n));
    if (query.get("then") === "close") ws.close(4000, "end of schedule");
  },
  "/report"(ws, request, query) {
    const id = query.get("id");
    const tell = () => {
      ws.send(JSON.stringify(reports[id]));
      ws.close(1000);
    };
    if (id in reports) tell();
    else waiting[id] = tell;
  },
};

function converse(ws, request, url) {
  const id = url.searchParams.get("id");
  let messages = 0;
  ws.on("message", () => (messages += 1));
  ws.on("error", () => {}); // told by "close" too, with its code
  ws.on("close", (code, reason) => {
    if (id === null || url.pathname === "/report") return;
    reports[id] = { code, reason: reason.toString(), messages };
    waiting[id]?.();
  });
  services[url.pathname](ws, request, url.searchParams);
}

function upgrade(request, socket, head) {
  const url = new URL(request.url, "http://localhost");
  socket.on("error", () => {});
  if (url.pathname === "/refuse" || !(url.pathname in services)) {
    const status = url.searchParams.get("status") ?? "404";
    const extra = url.searchParams.get("retry-after");
    socket.end(
      `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 4\r\n` +
        (extra ? `Retry-After: ${extra}\r\n` : "") +
        "\r\nnope",
    );
    return;
  }
  const server = url.pathname === "/silent" ? unanswering : deflating;
  server.handleUpgrade(request, socket, head, (ws) => converse(ws, request, url));
}

const servers = [
  [createPlain(), plain],
  [createSecure({ cert: readFileSync(chain), key: readFileSync(key) }), secure],
];
let listening = 0;
for (const [server, port] of servers) {
  server.on("upgrade", upgrade);
  server.listen(Number(port), "127.0.0.1", () => {
    if (++listening === servers.length) console.log("listening");
  });
}
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
