/** A client of a byte stream: sends all pieces, half-closes, and waits for the line that says that they are stored. */
import net from "node:net";

/** `nextPiece` is called whenever there is room; undefined is the end. Rejects where the answer is not an OK. */
export function sendStream(host, port, nextPiece) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, allowHalfOpen: true });
    let line = "";
    const send = () => {
      for (let piece = nextPiece(); ; piece = nextPiece()) {
        if (piece === undefined) {
          socket.end();
          return;
        }
        if (!socket.write(piece)) {
          socket.once("drain", send);
          return;
        }
      }
    };
    socket.on("connect", send);
    socket.on("data", (text) => (line += text));
    socket.on("error", reject);
    socket.on("end", () => {
      socket.destroy();
      if (/^(OBJECT \w+ WRITTEN )?OK\n$/.test(line)) resolve(line.trim());
      else reject(new Error(`answered ${JSON.stringify(line)}`));
    });
  });
}
