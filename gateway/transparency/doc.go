// Package transparency makes the chain of a gateway's log public: a transparency log of its entries, in tiles, under signed
// checkpoints that others can witness.
//
// # What it guarantees
//
// Leaf i is entry i+1 of the write-ahead log, whatever crashed in between: the tree is a function of the chain, and can be
// built anew from it. No checkpoint is signed whose root was not computed from the chain itself, apart from the tree on
// disk. A checkpoint is published within a second of an entry; when that takes longer than the merge delay, the log refuses
// what begins ([audit.Log.Hold]). Nothing here is on the path of an answer.
//
// A leaf has the sequence number, the time, the salted commitment and the chain hash of an entry: nothing personal, so
// everything that [Log.Handler] serves may be public.
//
// # Form
//
// In the folder of the log:
//
//	tlog/key                the signing key (Ed25519), made with the log, never elsewhere
//	tlog/key.pub            its public part, a verifier key of C2SP signed-note
//	tlog/tree/checkpoint    the latest checkpoint, and under tile/ the tiles and entries of C2SP tlog-tiles
//	tlog/cosigned           the latest checkpoint that a quorum of witnesses cosigned
//
// The origin of the log is <trust domain>/log/<replica>/<id>, with the random id of the write-ahead log: a volume that was
// recreated begins another log, visibly.
package transparency
