// Command docs makes a site of the Markdown pages: docs/ is its root, and what they link to in the rest of the repository is below
// repository/. It fails when a link leads nowhere.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "the repository")
	out := flag.String("out", "dist/docs", "folder to make; what is in it goes")
	flag.Parse()
	if err := run(*root, *out); err != nil {
		fmt.Fprintln(os.Stderr, "hack/docs:", err)
		os.Exit(1)
	}
	fmt.Println(*out + "/index.html")
}

func run(root, out string) error {
	pages, err := readPages(root)
	if err != nil {
		return err
	}
	if err := check(root, pages); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	return build(root, out, pages)
}
