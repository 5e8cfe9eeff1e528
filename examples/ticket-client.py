#!/usr/bin/env python3
"""Sends a file as WriteTickets to a server (`data-putter server`, tcp/5000) and checks every answer: a whole client of
the ticket protocol (docs/formats/wire.md) with nothing but Python's standard library.

    data-putter server --root /tmp/tickets            # makes its key, /tmp/tickets/key, at the first start
    python3 examples/ticket-client.py FILE --key-file /tmp/tickets/key [--first AABB0000] [--host HOST] [--port PORT]

Exit code 0: every ticket is on the server's disk. 1: some are not, or the connection was lost. 2: wrong usage."""
import argparse, array, collections, random, socket, struct, sys, threading, time

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DATA_SIZE, WINDOW, BUSY = 1458, 4096, 6  # bytes in a ticket; tickets in flight; the status "send again"
STATUS = ["saved", "not written", "wrong checksum (other key?)", "not a TicketID", "no space", "id is taken", "busy"]

def ticket_id(first, index):
    """The id that comes `index` after `first`, as on the wire: characters to the left, zero bytes behind."""
    length, value = len(first), int(first, 36) + index
    while value >= 36**length:
        length, value = length + 1, value - 36**length
    return "".join(ALPHABET[value // 36**place % 36] for place in reversed(range(length))).encode().ljust(8, b"\0")

def siphash24(key, messages):
    """SipHash-2-4 of messages of one length, all at once: word for word side by side in integers, 128 bits for each."""
    count, size = len(messages), len(messages[0])
    words = array.array("Q", b"".join(m + bytes(7 - size % 8) + bytes([size & 255]) for m in messages))
    ones = int.from_bytes(b"\1".ljust(16, b"\0") * count, "little")
    mask, (k0, k1), word_count = ones * (2**64 - 1), struct.unpack("<QQ", key), size // 8 + 1
    rotate = lambda word, by: (word << by | word >> 64 - by) & mask
    v0, v1 = ones * (k0 ^ 0x736F6D6570736575), ones * (k1 ^ 0x646F72616E646F6D)
    v2, v3 = ones * (k0 ^ 0x6C7967656E657261), ones * (k1 ^ 0x7465646279746573)
    for step in range(word_count + 2):  # two rounds for each word, then four
        lanes = array.array("Q", bytes(16 * count))
        if step < word_count: lanes[::2] = words[step::word_count]
        elif step == word_count: v2 ^= ones * 255
        v3 ^= (word := int.from_bytes(lanes.tobytes(), "little"))
        for _ in range(2):
            v0 = v0 + v1 & mask; v1 = rotate(v1, 13) ^ v0; v2 = v2 + v3 & mask; v3 = rotate(v3, 16) ^ v2
            v0 = rotate(v0, 32) + v3 & mask; v3 = rotate(v3, 21) ^ v0
            v2 = v2 + v1 & mask; v1 = rotate(v1, 17) ^ v2; v2 = rotate(v2, 32)
        v0 ^= word
    sums = (v0 ^ v1 ^ v2 ^ v3).to_bytes(16 * count, "little")
    return [sums[at:at + 8] for at in range(0, len(sums), 16)]

def send(connection, answers, waiting):
    """Sends frames by id and takes as many answers, in any order; returns the status of each id."""
    statuses = {}
    threading.Thread(target=connection.sendall, args=[b"".join(waiting.values())], daemon=True).start()
    while len(statuses) < len(waiting):
        answer = answers.read(9)
        if len(answer) < 9: raise ConnectionError(f"the server left {len(waiting) - len(statuses)} tickets unanswered")
        if answer[:8] not in waiting or answer[:8] in statuses: raise ConnectionError(f"not awaited: {answer.hex()}")
        statuses[answer[:8]] = answer[8]
    return statuses

def main():
    options = argparse.ArgumentParser(description="Sends a file as WriteTickets and checks every answer.")
    options.add_argument("file", type=argparse.FileType("rb"))
    options.add_argument("--key-file", type=argparse.FileType("r"), default="key", help="32 hex digits")
    options.add_argument("--first", default="".join(random.choices(ALPHABET, k=5)) + "000", help="the first TicketID")
    options.add_argument("--host", default="127.0.0.1"), options.add_argument("--port", type=int, default=5000)
    given, began, counts, index = options.parse_args(), time.monotonic(), collections.Counter(), 0
    key, connection = bytes.fromhex(given.key_file.read()), socket.create_connection((given.host, given.port), 30)
    answers = connection.makefile("rb")
    while chunk := given.file.read(WINDOW * DATA_SIZE):
        data = [chunk[at:at + DATA_SIZE].ljust(DATA_SIZE, b"\0") for at in range(0, len(chunk), DATA_SIZE)]
        ids, index = [ticket_id(given.first, index + n) for n in range(len(data))], index + len(data)
        sums = siphash24(key, [i + d for i, d in zip(ids, data)])
        waiting = {i: i + s + d for i, s, d in zip(ids, sums, data)}
        while waiting:  # what the server was too busy for is sent again
            statuses = send(connection, answers, waiting)
            counts.update(status for status in statuses.values() if status != BUSY)
            waiting = {i: frame for i, frame in waiting.items() if statuses[i] == BUSY}
    print(f"{index} tickets from {given.first} on in {time.monotonic() - began:.2f} s:",
          ", ".join(f"{count} {STATUS[status]}" for status, count in sorted(counts.items())) or "the file is empty")
    return 0 if counts[0] == index else 1

if __name__ == "__main__":
    try: sys.exit(main())
    except (OSError, ValueError) as error: sys.exit(f"ticket-client: {error}")
