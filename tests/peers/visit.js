// A client by the API that browsers have, and node's `ws` too: one function, of orders
// as in orders.py and of what opens a WebSocket by them. `ws` can more than
// that API, and is ordered to; a browser is not.
async (orders, open) => {
  const saw = { echoed: [], messages: [] };
  const inbox = [];
  let news = () => {};
  const ws = open(orders);
  ws.binaryType = "arraybuffer";
  ws.onerror = () => {}; // its story is told by onclose
  ws.onmessage = ({ data }) => {
    inbox.push(data);
    news();
  };
  ws.onopen = () => news();
  ws.onclose = ({ code, reason, wasClean }) => {
    Object.assign(saw, { code, reason, clean: wasClean });
    news();
  };
  const until = async (condition) => {
    while (!condition() && !("code" in saw)) await new Promise((go) => (news = go));
  };
  const next = async () => {
    await until(() => inbox.length);
    return inbox.shift();
  };

  await until(() => ws.readyState === 1);
  saw.subprotocol = ws.protocol || null;
  saw.extensions = ws.extensions;
  for (const size of orders.texts ?? []) {
    const half = Math.floor(size / 4);
    const text = "é".repeat(half) + "x".repeat(size - 2 * half);
    ws.send(text);
    saw.echoed.push((await next()) === text);
  }
  const kinds = [(data) => data, (data) => data.buffer, (data) => new Blob([data])];
  for (const [index, size] of (orders.binaries ?? []).entries()) {
    const data = Uint8Array.from({ length: size }, (_, n) => n % 256);
    ws.send(kinds[index % kinds.length](data));
    const echoed = new Uint8Array(await next());
    saw.echoed.push(echoed.length === size && echoed.every((byte, n) => byte === data[n]));
  }
  if (orders.fragments) {
    orders.fragments.forEach((part, n) =>
      ws.send(part, { fin: n === orders.fragments.length - 1 }),
    );
    saw.fragments = await next();
  }
  if (orders.ping) {
    const ponged = new Promise((go) => ws.on("pong", (data) => go(data.toString())));
    ws.ping(orders.ping);
    saw.pong = await ponged;
  }
  if (orders.abort) ws.terminate();
  else if (orders.close) ws.close(...orders.close);
  await until(() => false);
  saw.messages.push(...inbox);
  return saw;
};
