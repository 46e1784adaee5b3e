// Package accounting answers from the logs of an agency's gateways what the law lets others ask: what was disclosed about a
// person, who must be told that it was wrong, and how agreements were used. It reads each log once, oldest entry first, and
// its memory does not grow with it. Names, randomness, network and the clock come in through arguments; the logs are folders.
package accounting
