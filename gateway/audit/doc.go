// Package audit is the durable log of an agency's gateway: one record for every disclosure and every denial, on either
// side, on disk before anything is released.
//
// # What it guarantees
//
// When [Receipt.Wait] returns nil, the record is on stable storage and is found by every later [Open], [Read] and
// [Verify], whatever crashed in between. When it returns an error, nothing may be released: the record may or may not be
// in the log. When the log cannot write, it refuses ([Log.Append], [Log.Healthy]); it never goes on without its records.
//
// The chain holds sequence numbers, times and salted commitments, and nothing of the records themselves, so it may be
// shown to anyone. The records are in the payload, apart and sealed: the chain commits to salt and record, so that it verifies
// without any key, and still does when a payload has been erased.
//
// When [Log.Erase] returns nil, the payloads have been overwritten and a record says so. A crash in between leaves an
// erasure that counts as done and that the next Open completes.
//
// # Form
//
// A log is a directory on a local file system (not NFS: locks and syncs must mean what they say):
//
//	origin                          the log's name and a random id; the chain starts from both
//	00000000000000000001.chain      a segment: 128 bytes an entry, with commitment and chain hash
//	00000000000000000001.payload    the salts and records of the same entries, sealed
//	0000000001.key                  a data key, wrapped by the [KeyRing]
//	erasing                         entries whose erasure has begun; removed when it is done
//	journal                         what is durable and may not be in the files of the last segment yet
//
// Entries are made durable by one write and one sync of the journal; then they are written to their segment's files, for whoever
// reads, and their callers are told. Those files are synced later, for many entries at once and before the journal's place is used
// again. After a crash of the machine the journal has what they lack: readers look there, and the next Open writes it to them. It adds to
// the chain and changes nothing in it: what both have must be the same. A log that was closed has nothing in its journal. It is part of the log:
// after a crash, a copy without it lacks what had not been synced elsewhere.
//
// A segment is named by its first sequence number. It is preallocated, written by one process, and sealed (cut to its
// length, with a closing record) when it is full, when the log is closed, and when an opener finds it left by a crash. A
// segment is never written again once sealed, but for erasures, nor after a failed sync: the page cache cannot be trusted
// then.
//
// Data keys are AES-256-GCM keys with random nonces. There is another one each day and for each process; bare ones are in
// memory only, and wrapped ones on disk before anything is sealed with them. No record waits for the key ring: while it cannot
// be reached, the last data key goes on being used, and a log that has none refuses. A data key is destroyed when no payload
// is sealed with it any more. Segments of the first form, whose payloads are in the clear, are read and erased like the
// others; new ones are sealed.
//
// The order of entries is that of their sequence numbers. Times are what the clock said, and may go back with it; nothing is
// erased by a clock that has not been steady for an hour.
//
// Every chain entry names the first entry of its batch, and everything before that batch had been synced, there or in the
// journal, when it was written. This is how a torn tail (cut: nobody was told that it was durable) is told from damage (an error: somebody
// was).
//
// # Who calls what
//
// The gateway's core opens one Log, hands records over before it asks a source (AppendDeferred: an answer that comes at once
// costs one sync for both its records) and before it releases an answer (Append), and waits on both receipts; readiness asks
// Healthy. Anyone who may read the files may call Verify, and who has the keys too, Read and ReadFrom, also while a gateway
// writes. What feeds the transparency log follows with OpenChain and Log.Head, and has the log
// refuse (Hold) when it falls behind.
package audit
