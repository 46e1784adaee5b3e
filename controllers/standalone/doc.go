// Package standalone runs an agency without a cluster: the same resources as files in a folder, compiled by the same code,
// enforced by the same gateway. It gathers, calls package compile, and applies; it decides nothing itself.
//
// # What a change of a file does
//
// A folder that cannot be read in full does not start. While it runs:
//
//   - A decision (AgreementDecision) is recorded in the state folder when it is first read, with that time, and counts from
//     then on. Removing its file undoes nothing, changing its file is an error: a decision is changed by another decision.
//
//   - A file that is removed removes what it held: without its agreement, agency, schema or dataset nothing is disclosed.
//
//   - A file that cannot be read any more gives no permission: what it held is treated as removed, and every agreement that
//     it mentions by name, now or when it could last be read, is refused until the file is mended or removed. It might have
//     held a suspension. Other files go on working.
//
//   - While the folder as a whole cannot be listed (a disk that is away), the last routes go on, as they do in a cluster
//     while its API server is away. Time goes on, too: an agreement ends when it ends.
//
// So a mistake in a file can only deny. The status files say what is denied and why.
package standalone
