// Node's own http server. `bare`: no handler for SIGTERM. `handler`: stops listening, ends what it holds, exits.
const http = require("http");
const slow = Number(process.env.SLOW_S || "1.0") * 1000;
const server = http.createServer((request, response) => {
  const answer = () => response.end("whole answer\n");
  request.url === "/slow" ? setTimeout(answer, slow) : answer();
});
if (process.argv[3] === "handler") {
  process.on("SIGTERM", () => server.close(() => process.exit(0)));
}
server.listen(Number(process.argv[2]), "127.0.0.1");
