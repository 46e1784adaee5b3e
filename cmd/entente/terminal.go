package main

import (
	"os"

	"golang.org/x/term"
)

// isTerminal says whether somebody watches a stream, or types into it.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
