/** Every queue, cache, buffer, retry and message has its maximum here: name, default, unit, and what happens at it. */

/** Connections on one port; further ones are closed at once. */
export const connectionsMax = 16_384;
/** A byte stream (tcp/5001) or a ticket connection that sends nothing for so long is closed. */
export const idleTimeoutMs = 120_000;
/** A peer that does not read what it was sent for so long is cut off. */
export const writeStallMs = 30_000;
/** A connection that sends nothing for so long gives its buffer back, written or put aside. */
export const bufferIdleMs = 200;
/** A connection that sends so little that it has not filled its buffer after so long gives it back, too. */
export const bufferHoldMs = 1_000;
/** One read from a socket. */
export const receiveSize = 262_144;
/** Pieces of memory of that size that a port keeps for what waits. */
export const waitingSpacesMax = 64;
/** Bytes read from all sockets of a port that no buffer was free for; a connection that goes beyond it is cut off. */
export const waitingSizeMax = 64 * 1024 * 1024;

/** Buffers of the arena: WebAssembly memory that never grows. */
export const tinyBufferCount = 512;
export const blockBufferCount = 72;
export const groupBufferCount = 8;
/** Buffers that one object being written, or one ticket connection, may have on their way to the disk. */
export const batchesInFlightMax = 4;
/** Batches of one of them that are written and wait for their sync; they hold no buffer. */
export const unsavedBatchesMax = 256;
/** Who waits for a buffer, in all; further ones are answered BUSY. */
export const bufferWaitersMax = 20_000;
/** An object that has been waiting so long for its first buffer is refused as BUSY: latency is bounded, not only the queue. */
export const bufferWaitMs = 30_000;

/** Open volumes (two or three descriptors each). */
export const openVolumesMax = 128;
/** Tickets that wait for a volume's next write; further ones are answered `busy`. */
export const volumeQueueMax = 65_536;

/** How long the sync after a directly written group may wait for company. */
export const bulkSyncDelayMs = 10;
/** Small writes wait for each other where so many are expected, until so many are there. */
export const companyMin = 4;
export const companyMax = 32;
/** They go when nobody came for so many looks, so far apart. */
export const companyStillMax = 2;
export const companyStillMs = 1;
/** So often at most a group does not wait, after some that waited in vain. */
export const companySkipMax = 64;
/** Writes of so many tickets are small. */
export const companyTicketMax = 16;
/** A group that so many tickets have arrived of waits so long for the next bytes before it is written in pieces. */
export const patientTicketCount = 128;
export const groupPatienceMs = 5;
/**
 * Where tickets that have arrived on a connection wait for room for so long, because the disk is slower than what is sent,
 * what finds none is answered `busy`. Less than `responseTimeoutMs`: a router hears this rather than nothing.
 */
export const ticketWaitMs = 10_000;
/** Keep this much of the file system free, so that deleting and the datastore still work when it is full. */
export const spaceReserveSize = 16 * 1024 * 1024;
/** How often free space is asked for. */
export const spaceCheckMs = 1_000;

/** Ids leased at a time. */
export const objectLeaseCount = 4_096;
export const ticketLeaseCount = 128 * 2_048;
/** A stream reserves one group, then twice as many each time, up to so many. */
export const reserveGroupsMax = 16;
/** Ranges of returned tickets that a router remembers for small objects. */
export const freeRangesMax = 1_024;

/** The largest object. */
export const objectSizeMax = 50 * 2 ** 40;
/** Names: bytes of UTF-8. */
export const keySizeMax = 1_024;
export const bucketNameSizeMax = 255;
export const entryNameSizeMax = 255;
/** Records of buckets that a datastore keeps parsed. */
export const parsedBucketsMax = 1_000;
/** One page of a listing. */
export const pageSizeMax = 1_000;
export const partsMax = 10_000;
/** Parts of an object whose records are fetched before the first of them is read: a deletion meanwhile does not matter. */
export const partsAheadMax = 1_000;

/** Bytes of JSON in one request or answer on tcp/5000 and tcp/5002. */
export const messageSizeMax = 1_048_576;
/** Requests on one connection that may wait for their answer. */
export const requestsInFlightMax = 64;

/** How often a write's progress is noted in the datastore. */
export const progressIntervalMs = 250;
/** How long a failed write can still be asked about. */
export const failedObjectKeepMs = 24 * 3_600_000;

/** Connections to one putter that reads and reclaims share. */
export const readConnectionsMax = 8;
/** Runs in one reclaim request; where more are live, the smallest gaps between them are kept too. */
export const reclaimRunsMax = 65_000;

/** Connecting to a putter or to Redis. */
export const connectTimeoutMs = 5_000;
/** Between attempts: doubled from the first to the last. */
export const reconnectDelayMinMs = 100;
export const reconnectDelayMaxMs = 5_000;
/** A putter that answers nothing for so long while tickets wait is given up. */
export const responseTimeoutMs = 20_000;
/** One Redis command; then the operation fails as UNAVAILABLE. */
export const datastoreTimeoutMs = 10_000;

/** Reclaiming: how often it looks, how much it rewrites per second, from which share of dead tickets on. */
export const reclaimIntervalMs = 5_000;
export const reclaimRate = 64 * 1024 * 1024;
export const reclaimDeadShareMin = 0.5;
/** A volume that is still open is sealed to be reclaimed from so many dead bytes on. */
export const reclaimOpenDeadMin = 8 * 1024 * 1024;
/** Where a volume does not fit on the disk twice it is rewritten in pieces of so much, or half of what is free, but at least: */
export const reclaimPieceSize = 4 * 1024 * 1024;
export const reclaimPieceSizeMin = 16_384;
/** How soon it looks again when it has sealed a volume. */
export const reclaimSoonMs = 500;

/** Closing: what is under way may take so long. */
export const drainTimeoutMs = 10_000;
/** How often it is looked whether it has ended. */
export const drainCheckMs = 10;
/** Processes on one data directory. */
export const workersMax = 32;
/** Between restarts of a worker that ends soon after each: doubled from the first to the last. */
export const workerRestartMinMs = 100;
export const workerRestartMaxMs = 5_000;
/** Directories whose syncs are shared; the memory of who shares is dropped beyond it. */
export const directorySyncsMax = 4_096;
/** How often connections are looked at for being idle. */
export const idleCheckMs = 100;

/** HTTP: connections of one client address (0: no limit of its own); further ones are closed at once. */
export const httpConnectionsPerPeerMax = 0;
/** Requests under way at a time; further ones are answered 503 SlowDown. */
export const httpRequestsMax = 256;
/** Where several addresses are connected, the share of those requests that one of them may have. */
export const httpPeerShareMax = 0.75;
/** Requests on one connection; the last one's answer closes it, so that connections spread over processes. */
export const httpRequestsPerConnectionMax = 100_000;
/** Requests sent ahead on one connection that wait for their turn; further ones are answered 503. */
export const httpPipelinedMax = 64;
/** Request line and headers: how large (431), and how long they may take (408). */
export const httpHeaderSizeMax = 32_768;
export const httpHeaderTimeoutMs = 20_000;
/** A body of which nothing comes for so long is given up. */
export const httpBodyIdleTimeoutMs = 60_000;
/** A connection without a request for so long is closed. */
export const httpKeepAliveTimeoutMs = 60_000;
/** What an answer left unread of a body: no more than this is waited for on a connection that goes on. */
export const httpUnreadKeepMax = 262_144;
/** And no more, nor longer, than this before a connection that does not go on is cut. */
export const httpUnreadSizeMax = 64 * 1024 * 1024;
export const httpUnreadTimeoutMs = 5_000;
/** Pieces of a large answer that are on their way to the socket while the next one is read. */
export const httpPiecesInFlightMax = 2;
/** How often certificate files are looked at for being new. */
export const tlsCheckMs = 2_000;

/** An account or access key that was looked up is believed for so long: another process can change it. */
export const accountCacheMs = 1_000;
/** Look-ups of accounts and access keys that are remembered: those that found something, and those that did not. */
export const accountsCachedMax = 10_000;
export const unknownAccountsCachedMax = 1_000;
/** Buckets that an access key can be limited to. */
export const keyBucketsMax = 100;

/** Signing keys (per access key, day and region) that are kept; the oldest is dropped. */
export const signingKeysMax = 1_000;
/** How far a client's clock may be from ours: RequestTimeTooSkewed. */
export const signatureClockSkewMs = 15 * 60_000;
/** How long a presigned URL can be valid, in seconds. */
export const presignedSecondsMax = 7 * 24 * 3_600;

/** Encryption keys: how long a name can be, how many versions a key can have. */
export const encryptionKeyNameSizeMax = 128;
export const encryptionKeyVersionsMax = 1_000;
/** A key is looked up again after so long: another process can have rotated it. */
export const encryptionKeyBelievedMs = 1_000;
export const encryptionKeysCachedMax = 1_000;

/** S3: bodies of XML or JSON, and the one that names the parts of an upload. */
export const xmlSizeMax = 1_048_576;
export const completeUploadSizeMax = 8 * 1024 * 1024;
/** Tags in such a body (a thousand objects or rules), and in that one (ten thousand parts with their checksums). */
export const xmlTagsMax = 50_000;
export const completeUploadTagsMax = 200_000;
/** The smallest part of an upload but the last, as AWS has it. */
export const partSizeMin = 5 * 1024 * 1024;
/** Bytes of the first line of a chunk of an aws-chunked body, and of its trailer. */
export const chunkHeaderSizeMax = 1_024;
export const trailerSizeMax = 16_384;

/** Objects that one DeleteObjects can name, and bytes of its XML: as many of the longest keys, escaped, fit. */
export const deleteObjectsMax = 1_000;
export const deleteObjectsSizeMax = 8 * 1024 * 1024;
/** How often a version whose attributes somebody else changes is looked at again before its deletion is given up. */
export const deleteAttemptsMax = 5;
/** How often a change of a version is begun again because somebody else changed it. */
export const changeAttemptsMax = 20;

/** Bodies from this size on are hashed by a worker thread; a round trip to it costs more than smaller ones. */
export const digestAwaySizeMin = 262_144;
/** Shared memory by which bytes go to a worker, and how much of it one body may have on its way. */
export const digestSlabSize = 262_144;
export const digestSlabsEachMax = 4;
/** Bodies that workers hash at a time; further ones are hashed where they arrive, and need no such memory. */
export const digestsAwayMax = 64;
/** For each so many bodies that a worker hashes, the receiving thread hashes one itself, so that all cores do. */
export const digestsAwayPerOwn = 3;
/** Such memory that is kept for the next body. */
export const digestSlabsKept = 16;
/** Bytes of a form before its file, as AWS has it: MaxPostPreDataLengthExceeded. */
export const formFieldsSizeMax = 20_480;
/** Conditions in a form's policy. */
export const formConditionsMax = 200;

/** Operations that metrics tell apart. */
export const metricOperationsMax = 200;
/** How long `/-/ready` and `/-/metrics` wait for the datastore. */
export const readyTimeoutMs = 2_000;
/** Lines of the access log that wait for the disk; further ones are dropped and counted. */
export const accessLogWaitingSizeMax = 4 * 1024 * 1024;
export const accessLogFlushMs = 200;

/** How often it is looked whether lifecycle rules have something to do. */
export const lifecycleIntervalMs = 3_600_000;
/** A reader of the library's that takes no further piece for so long gives its buffers back; it goes on later. */
export const libraryReadIdleMs = 1_000;
/** Room that a file system in memory must have for a store without a directory to be made there. */
export const memoryDirectorySpaceMin = 512 * 1024 * 1024;

/** HTTP: a line of a chunked body, and its trailer. */
export const chunkLineSizeMax = 4_096;
export const chunkTrailerSizeMax = 16_384;
/** A client with so much of its answers unread is not asked for further requests. */
export const httpUnsentSizeMax = 1_048_576;
/** Bytes read from all connections of the HTTP port that nobody has taken yet; one that goes beyond it is cut off. */
export const httpWaitingSizeMax = 1024 * 1024 * 1024;

/** A snapshot of the embedded datastore is taken so often, where something has changed. */
export const snapshotIntervalMs = 3_600_000;
/** Snapshots that are kept, and for how many days, besides, the last one of each day. */
export const snapshotsKept = 24;
export const snapshotDaysKept = 7;
/** Part of the disk (what is free, and what they take) that they may take together; two are kept in any case. */
export const snapshotsShareMax = 0.1;
/** How soon one is taken that is due at a start, or because the journal is large. */
export const snapshotSoonMs = 1_000;
/** So many of the newest ones can be brought up to date by journals. */
export const snapshotsJournaled = 3;
/** From this size of the journal on (or the snapshot's, where that is larger) one is taken earlier. */
export const journalSizeMax = 256 * 1024 * 1024;
/** What stays free on the disk when one is taken. */
export const snapshotSpaceReserveSize = 256 * 1024 * 1024;
/** Where less is free older snapshots go; where that is not enough the journal is not written until the next snapshot. */
export const journalSpaceReserveSize = 4 * 1024 * 1024;
/** How soon that is tried, and again. */
export const snapshotAgainMs = 60_000;
/** Commits of a journal that are carried out in one transaction when a datastore is restored. */
export const restoreGroupsMax = 256;

/** Bytes of the YAML file of `--config`. */
export const configFileSizeMax = 65_536;

/** Records of a datastore of format 1 that get their checksums in one transaction, and the pause before the next. */
export const upgradeRecordsMax = 500;
export const upgradePauseMs = 20;
/** Damaged records that are logged, each once; further ones are only answered as errors. */
export const damagedRecordsLogged = 1_000;
/** After a commit that the disk refused the next one is let through so much later, doubled from the first to the last. */
export const commitRetryMinMs = 1_000;
export const commitRetryMaxMs = 30_000;
/** Not before the disk has taken a file of that size; it is tried so often. */
export const commitProbeSize = 65_536;
export const commitProbeMs = 1_000;

/** A peer that connects and has not done its TLS handshake after so long is refused. */
export const tlsHandshakeMs = 10_000;
/** Who speaks no TLS where it must has so long to read that it must. */
export const tlsRefusalMs = 1_000;
/** Refused connections are told of in the log at most so often, those between by their number. */
export const refusalLogMs = 10_000;

/** Damaged objects of which `verify` says what refers to them; the damages of further ones are told without it. */
export const damagedNamedMax = 10_000;
/** Volumes of which a router looks at two tickets when it has started. */
export const firstLookVolumesMax = 8;
/** A datastore file up to this size is read to its last page before it is opened: 10 ms a megabyte at most. */
export const pagesCheckedSizeMax = 32 * 1024 * 1024;
/** And changes: lmdb-js 3.5 can lose count of free pages in transactions of tens of thousands (MDB_BAD_TXN). */
export const restoreChangesMax = 4_000;

/** Tickets that are read while everybody waits, where the page cache probably has them; more go to a thread. */
export const readNowTicketsMax = 16;

/** What a router says of itself is nested no deeper. */
export const statusDepthMax = 16;
/** Users, or encryption keys, that a command gathers to show them. */
export const listedMax = 100_000;
/** Characters of another side's error message that are told. */
export const peerMessageSizeMax = 4_096;
