// Package witness cosigns the checkpoints of other agencies' logs (C2SP tlog-witness, tlog-cosignature).
//
// # What it guarantees
//
// Of each log that it knows by its key it cosigns one history only: a checkpoint is cosigned when it is signed by the log
// and proven to continue the last one that was cosigned, which is on disk before the cosignature leaves. So a log that is
// cut, rolled back, or shown differently to others, gets no further cosignature, here or after any crash here; what it showed
// is kept as evidence, counted, and reported.
//
// It sees nothing but checkpoints and hashes: nothing of what a log holds.
package witness
