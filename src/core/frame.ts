/**
 * Sizes and codes of the permanent frames; the byte tables are in docs/formats/wire.md.
 *
 *   WriteTicket          0 TicketID 8 · 8 Checksum 8 · 16 Data 1458             = 1474 bytes
 *   WriteTicketResponse  0 TicketID 8 · 8 Status 1                              = 9 bytes
 */
export const ticketDataSize = 1458;
export const checksumSize = 8;
export const writeTicketSize = 16 + ticketDataSize;
export const responseSize = 9;

/** 2048 slots are exactly 729 pages of 4096 bytes: the unit of direct, unbuffered writing. */
export const groupTicketCount = 2048;
export const groupDataSize = groupTicketCount * ticketDataSize;

/** The status byte of a WriteTicketResponse. Permanent. */
export const TicketStatus = {
  saved: 0,
  notWritten: 1,
  wrongChecksum: 2,
  notAnId: 3,
  noSpace: 4,
  otherTicketStored: 5,
  busy: 6,
} as const;
export type TicketStatus = (typeof TicketStatus)[keyof typeof TicketStatus];

const statusTexts = [
  "saved",
  "could not be written",
  "checksum does not match (is the key the same on both sides?)",
  "not a TicketID",
  "no space left on the disk",
  "another ticket is already stored under this id",
  "busy, send again",
];

/** What a status byte means, in words. */
export function describeStatus(status: number): string {
  return statusTexts[status] ?? `unknown status ${status}`;
}

/** How many tickets hold `size` bytes; an empty object has none. */
export function ticketCountOf(size: number): number {
  return Math.ceil(size / ticketDataSize);
}
