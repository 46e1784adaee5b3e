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
// shown to anyone. The records are in the payload, apart; one can be erased when the law says so and the chain still
// verifies.
//
// # Form
//
// A log is a directory on a local file system (not NFS: locks and syncs must mean what they say):
//
//	origin                          the log's name and a random id; the chain starts from both
//	00000000000000000001.chain      a segment: 128 bytes an entry, with commitment and chain hash
//	00000000000000000001.payload    the salts and records of the same entries
//
// A segment is named by its first sequence number. It is preallocated, written by one process, and sealed (cut to its
// length, with a closing record) when it is full, when the log is closed, and when an opener finds it left by a crash. A
// segment is never written again once sealed, nor after a failed sync: the page cache cannot be trusted then.
//
// Every chain entry names the first entry of its batch, and everything before that batch had been synced when it was
// written. This is how a torn tail (cut: nobody was told that it was durable) is told from damage (an error: somebody
// was).
//
// # Who calls what
//
// The gateway's core opens one Log, hands records over before it asks a source (AppendDeferred: an answer that comes at once
// costs one sync for both its records) and before it releases an answer (Append), and waits on both receipts; readiness asks
// Healthy. Anyone who may read the files may call Read, ReadFrom and
// Verify, also while a gateway writes. What feeds the transparency log follows with OpenChain and Log.Head, and has the log
// refuse (Hold) when it falls behind.
package audit
