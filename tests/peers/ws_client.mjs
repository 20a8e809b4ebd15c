// The `ws` package as a client: for each line of orders on stdin, a line on stdout of
// what it saw; see visit.js and orders.py.
//
// node ws_client.mjs FOLDER: FOLDER holds node_modules.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { runInThisContext } from "node:vm";

const { WebSocket } = createRequire(process.argv[2] + "/")("ws");
const visit = runInThisContext(
  readFileSync(new URL("visit.js", import.meta.url), "utf8"),
);

for await (const line of createInterface({ input: process.stdin })) {
  const orders = JSON.parse(line);
  const refusal = {};
  const saw = await visit(orders, ({ url, subprotocols, headers, ca }) => {
    const options = { headers, ca: ca && readFileSync(ca), maxPayload: 8 << 20 };
    const ws = new WebSocket(url, subprotocols ?? [], options);
    ws.on("unexpected-response", (request, response) => {
      refusal.status = response.statusCode;
      refusal.headers = response.headers;
      ws.terminate();
    });
    return ws;
  });
  console.log(JSON.stringify({ ...saw, ...refusal }));
}
