/**
 * Every bound of the system, in one place, asserted against one another at load. docs/limits.md is made from this table.
 * Sizes are bytes, durations are ms, unless the name says otherwise.
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /** Raft timing, in ticks of `tickMs` (protocol G1). */
  tickMs: 50,
  heartbeatTicks: 1,
  electionTicksMin: 6,
  electionTicksMax: 12,

  /** Members of `--cluster`. Three or five are sensible; each more makes every write wait for one more disk. */
  votersMax: 7,

  /** Threads for file access, compression and LevelDB; set before the first of them is used (protocol F4). */
  threadPoolSize: 16,
  /** Of those, what lookups may occupy at a time, all together. */
  lookupReadsAtOnce: 8,

  /** A write that has not committed by then is answered 503: unknown. */
  writeDeadlineMs: 5_000,
  /** A linearizable read that could not confirm its index by then is answered 503. */
  readDeadlineMs: 5_000,
  /** Blocks and bytes of spans behind one answer to a lookup; what is more comes on further pages (protocol D4). */
  lookupBlocksMax: 512,
  lookupBytesMax: 8 * MiB,
  /** Lookups with more bytes than this, from gathering them until their answer is sent; others wait for their turn. */
  largeLookupBytes: 1 * MiB,
  largeLookupsAtOnce: 2,
  /** An answer whose client takes nothing for this long is cut off. */
  answerStallMs: 10_000,
  /** Up to this size JSON is made, or read, between turns of the main thread; above it by a worker thread. */
  jsonInlineBytesMax: 256 * KiB,
  /** JSON that the worker makes in one go. */
  jsonChunkBytes: 256 * KiB,
  /** How far below the rest the thread that makes JSON stands, as `nice` counts: a large answer must not take the CPU from heartbeats. */
  jsonNice: 10,
  /** A worker thread of JSON ends once it was not needed for this long, twice as long at most. */
  jsonThreadIdleMs: 10_000,
  /** Whoever asked for another leader is told by then that none was heard of. */
  transferDeadlineMs: 3_000,
  /** A node that is told to stop tries for this long to hand the lead over. */
  handOverMs: 1_000,
  /** The body of a request that changes the cluster. */
  adminBodyBytesMax: 16 * KiB,
  /** A read index asked for and not answered is asked for again after this long. */
  readRetryMs: 150,
  /** A forwarded block not yet seen in the own log is sent again after this long. */
  forwardRetryMs: 400,

  /** One request, as received and after inflation. */
  requestBytesMax: 64 * MiB,
  /** What a compressed request may inflate to, as a multiple of what was received of it; the first MiB is free. */
  inflationRatioMax: 100,
  /** Bytes of all requests being read, inflated and built (protocol C6). */
  admissionBytesMax: 96 * MiB,
  /** Buffers of requests that are kept to be used again; one of them is at most an eighth of it. */
  spareBufferBytesMax: 8 * MiB,
  /** Requests are refused while the longest-waiting one has waited for a block this long: what is taken can be answered in time. */
  queueWaitMsMax: 500,
  /** The headers of a request must arrive within this time, and the whole of it within the other; both count as `requestTimeoutMs`. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  /** A connection on which nothing moved for this long is closed. */
  idleTimeoutMs: 75_000,
  /** Connections of one remote address, HTTP and gRPC each; the next one is closed at once. */
  connectionsPerSourceMax: 1_024,
  /** gRPC calls at a time on one connection. */
  streamsPerConnectionMax: 256,
  /** Requests in flight when the node is told to stop are cut off after this long. */
  stopPatienceMs: 6_000,

  /** One span, and also its resource and scope; a larger one is rejected by partial_success. */
  spanBytesMax: 4 * MiB,
  /** Nesting of AnyValue, groups in unknown fields counted. */
  anyValueDepthMax: 32,
  /** Attributes of one span, event, link, resource or scope: ten times what SDKs send by default; so are the next two. */
  attributesMax: 1_280,
  eventsMax: 1_280,
  linksMax: 1_280,
  /** Encoded fields of one span, of one resource, or of one scope, at every depth: bounds the time that one takes. */
  fieldsMax: 100_000,
  /** The key and the encoded value of one attribute. */
  keyBytesMax: 1 * KiB,
  valueBytesMax: 1 * MiB,
  /** What resources and scopes may hold when each resource is counted once a scope, as a multiple of the request; a MiB is free. */
  sharedRatioMax: 16,
  /** Spans of one request; those behind are rejected by partial_success. Twice as many resources and scopes are refused. */
  spansPerRequestMax: 100_000,

  /** Raw span bytes after which a block is closed even when an earlier one is still in flight. */
  blockRawBytesTarget: 4 * MiB,
  /** Raw bytes of one compressed frame; a larger trace has a frame of its own (protocol C5). */
  frameRawBytesTarget: 64 * KiB,
  /** Encoded size of one block at most: raw target, plus one span past it, plus the directory, were nothing compressible. */
  blockBytesMax: 10 * MiB,
  /** Blocks of one node proposed and not yet settled. */
  blocksInFlightMax: 4,

  /** Entries and bytes of one append message; a single larger entry still travels alone. */
  appendEntriesMax: 64,
  appendBytesMax: 1 * MiB,
  /** Appends sent to one follower and not yet acknowledged. */
  inflightMessagesMax: 32,
  inflightBytesMax: 16 * MiB,
  /** Entries proposed to the leader and not yet committed. */
  uncommittedBytesMax: 64 * MiB,
  /** Entries that wait for the leader's own disk, even when others have committed them; above it, it takes no more. */
  unsyncedBytesMax: 64 * MiB,
  /** Blocks that reach the leader during a write of its log wait for it, but no longer than this: about two writes. */
  gatherMsMax: 4,
  /** Payload bytes of recent entries kept in memory for followers and for applying. */
  entryCacheBytesMax: 16 * MiB,
  /** Encoded entries that a leader keeps for a moment, so that it encodes each once for all followers and its own log. */
  recordsBytesMax: 2 * MiB,
  /** How far V8's old generation grows before it is collected, in percent of what was alive; its default is about 100. What is allocated outside of the heap counts as well. */
  heapGrowingPercent: 300,
  /** One batch of the log's group commit. */
  logBatchBytesMax: 4 * MiB,
  /** The end of the log that is verified at open; at least all that LevelDB's write-ahead log can hold (protocol F3). */
  logVerifyBytes: 64 * MiB,

  /** Bytes and entries of a trimmed log that are deleted at a time, and how long it rests after that, as a multiple of how long it took (protocol E2). */
  trimStepBytes: 32 * MiB,
  trimStepEntriesMax: 2_000,
  trimRestRatio: 3,

  /** A damaged entry of the log that was asked for and has not come is asked for again, of the next node, after this long. */
  repairRetryMs: 500,
  /** Damaged entries asked for at a time; as many questions of others are answered at a time. */
  repairsAtOnce: 4,

  /** The scrub reads the log from its disk, entry after entry, at most so fast, in portions this far apart (protocol F3). */
  scrubBytesPerSecond: 1 * MiB,
  scrubTickMs: 250,
  /** It waits while so many bytes of entries wait for the log's disk. */
  scrubYieldBytes: 1 * MiB,
  /** From the end of one pass of the scrub to the next. */
  scrubRestMs: 3_600_000,

  /** The space on the disk is looked at this often (protocol A5). */
  spaceLookMs: 500,
  /** Below this share of the disk, in percent, and below so many bytes, a node takes no data; on less than 512 MiB, an eighth. */
  spaceLowPercent: 5,
  spaceLowBytesMin: 64 * MiB,
  /** Below so many bytes it does not append those of others either, nor opens its data directory; on less than 512 MiB, a sixteenth. */
  spaceReserveBytes: 32 * MiB,
  /** The file that is deleted when there is no space to open the data directory; on less than 1 GiB, a sixteenth. */
  ballastBytes: 64 * MiB,
  /** It is made so long after the start, a piece at each look. */
  ballastDelayMs: 10_000,
  ballastPieceBytes: 4 * MiB,

  /** A leader hands over for the sake of its disk when that was worse than another voter's for this long (protocol G3). */
  reliefSlowDiskMs: 5_000,
  reliefLowSpaceMs: 1_000,
  /** In the whole cluster at most so often; one that came to nothing is tried again, with another voter, after the other time. */
  reliefEveryMs: 60_000,
  reliefRetryMs: 5_000,

  /** Entries get the leader's time, at most so far from the voters' median; beyond that nothing expires by age (protocol E3). */
  clockToleranceMs: 60_000,
  /** What a voter said of its clock counts for this long. */
  clockReportMs: 60_000,
  /** Seconds of log time that may expire in a second. */
  expiryPaceMax: 10,

  /** Bytes queued towards one peer, per connection. */
  controlQueueBytesMax: 4 * MiB,
  bulkQueueBytesMax: 48 * MiB,
  /** One message between nodes. */
  frameBytesMax: 32 * MiB,
  /** The header of one message, without its entries or block. */
  frameHeaderBytesMax: 16 * KiB,
  /** Connections accepted whose other side has not said yet who it is; the next one is closed. */
  strangersMax: 64,
  /** A connection that is not open, or has not shown who it is, after this long is given up. */
  connectTimeoutMs: 2_000,
  /** First and longest wait before a connection is tried again; doubled each time, with jitter. */
  reconnectMsMin: 50,
  reconnectMsMax: 2_000,
  /** An idle connection is asked whether it is alive this often. */
  pingMs: 1_000,
  /** A connection on which nothing moved for this long is closed and opened again. */
  controlSilenceMs: 3_000,
  bulkSilenceMs: 10_000,

  /** Traces gathered in memory before their postings become one index window (protocol F2). */
  indexWindowTraces: 8_192,
  /** The index is flushed, synced, after this many entries or this long, whichever is first (protocol F1). */
  indexFlushEntries: 2_048,
  indexFlushMs: 15_000,
  /**
   * Full windows of one flush; at this many it does not wait for the time to be up. Each stalls the loop for 0.7 ms, and eight at
   * once on every node at the same entry were the longest stall of all (docs/performance.md, the tail).
   */
  indexFlushWindows: 1,
  /** Windows of which all is trimmed that stay all the same, so that a lookup can tell that a part of a trace has expired. */
  indexExpiredWindows: 16,
  /** Of the windows before those, so many are deleted and compacted at a time, in batches of so many keys. */
  indexCleanWindows: 64,
  indexCleanKeys: 256,
  /** A window is also closed once it spans a 24th of what retention keeps, but holds at least so much: whole windows expire. */
  retentionWindows: 24,
  retentionWindowMsMin: 1_000,
  retentionWindowBytesMin: 1 * MiB,
  /** A leader proposes a trim this often at most. */
  trimEveryMs: 5_000,

  /** A rebuild of the index that failed, for want of space as a rule, is tried again after this long. */
  indexRebuildRetryMs: 1_000,
} as const;

export type Limits = { readonly [Name in keyof typeof limits]: number };

/** What clients may send and cost, and what is done behind them: an operator may set these (src/config.ts); the rest is the same on every node. */
export const settableLimits = [
  'requestBytesMax',
  'inflationRatioMax',
  'admissionBytesMax',
  'headersTimeoutMs',
  'requestTimeoutMs',
  'connectionsPerSourceMax',
  'spanBytesMax',
  'anyValueDepthMax',
  'attributesMax',
  'eventsMax',
  'linksMax',
  'fieldsMax',
  'keyBytesMax',
  'valueBytesMax',
  'sharedRatioMax',
  'spansPerRequestMax',
  'lookupBlocksMax',
  'lookupBytesMax',
  'scrubBytesPerSecond',
] as const satisfies readonly (keyof Limits)[];
export type ClientLimits = Pick<Limits, (typeof settableLimits)[number]>;

/** What is kept: what is older, or beyond so many bytes of entries, expires. null: no limit. */
export interface RetentionLimits {
  readonly ageMs: number | null;
  readonly bytes: number | null;
}

function assertOrdered(ok: boolean, sentence: string): void {
  if (!ok) throw new Error(`limits: ${sentence}`);
}
assertOrdered(
  limits.heartbeatTicks * 3 <= limits.electionTicksMin,
  'three heartbeats must fit into the shortest election timeout',
);
assertOrdered(limits.electionTicksMin < limits.electionTicksMax, 'election timeouts must have room to differ');
assertOrdered(
  limits.requestBytesMax * 1.5 <= limits.admissionBytesMax,
  'one request, with what JSON becomes in protobuf, must be admissible',
);
assertOrdered(
  limits.electionTicksMin * limits.tickMs * 2 < limits.handOverMs,
  'a node that stops must have time to try a second successor',
);
assertOrdered(
  limits.lookupReadsAtOnce + 6 <= limits.threadPoolSize,
  'lookups leave threads to the log, the hard state, the scrub and the index',
);
assertOrdered(limits.queueWaitMsMax * 4 < limits.writeDeadlineMs, 'what is let in must have time to be committed');
assertOrdered(limits.headersTimeoutMs < limits.requestTimeoutMs, 'headers come before the rest');
assertOrdered(limits.requestTimeoutMs < limits.idleTimeoutMs, 'a slow request is not an idle connection');
assertOrdered(limits.valueBytesMax < limits.spanBytesMax, 'a value must fit into a span');
assertOrdered(
  limits.spanBytesMax + limits.blockRawBytesTarget < limits.blockBytesMax,
  'a full block and one more span must fit into a block',
);
assertOrdered(
  2 * limits.spanBytesMax < limits.blockBytesMax,
  'one span must fit into a block with its resource and scope, however large',
);
assertOrdered(limits.blockBytesMax < limits.frameBytesMax, 'a block must fit into a message');
assertOrdered(limits.frameBytesMax < limits.bulkQueueBytesMax, 'a message must fit into a queue');
assertOrdered(limits.pingMs * 2 < limits.controlSilenceMs, 'one lost ping must not close a connection');
assertOrdered(limits.writeDeadlineMs < limits.stopPatienceMs, 'a stop must let the writes in flight come to their end');
assertOrdered(limits.forwardRetryMs * 4 < limits.writeDeadlineMs, 'a lost forward must be retried inside the deadline');
assertOrdered(limits.spaceReserveBytes < limits.spaceLowBytesMin, 'data stops before the reserve begins');
assertOrdered(limits.spaceReserveBytes <= limits.ballastBytes, 'without its ballast a full disk must open');
assertOrdered(
  limits.blockBytesMax + limits.logBatchBytesMax < limits.spaceReserveBytes,
  'what is on its way into the log must fit behind the mark',
);
assertOrdered(
  limits.repairRetryMs * limits.votersMax < limits.readDeadlineMs,
  'a read must live to see a damaged entry asked of every node',
);
assertOrdered(
  limits.repairsAtOnce * limits.blockBytesMax < limits.bulkQueueBytesMax,
  'the entries given to a node for its repairs must fit into a queue',
);
assertOrdered(limits.indexExpiredWindows > 0, 'an index on disk ends with a window');
assertOrdered(limits.indexCleanKeys > 0 && limits.indexCleanWindows > 0, 'cleaning comes to an end');
