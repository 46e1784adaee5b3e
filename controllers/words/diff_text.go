package words

import (
	"fmt"
	"strings"
)

// Text is the comparison as people read it in a terminal.
func (d *Diff) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s\n", d.From.Name, d.To.Name)
	if d.Same() {
		b.WriteString("\nNo difference in what is agreed.\n")
		for _, n := range d.Notes {
			b.WriteString(wrap(n, "Note: ", "      "))
		}
		return b.String()
	}
	paragraph := func(heading, mark string, list []Visible) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", heading)
		for _, v := range list {
			b.WriteString(wrap(v.Text, "  "+mark+" ", "    "))
		}
	}
	paragraph("Becomes visible", "+", d.Becomes)
	paragraph("Ceases to be visible", "-", d.Ceases)
	if len(d.Becomes)+len(d.Ceases) == 0 {
		b.WriteString("\nWho may see which fields, and for what, stays the same.\n")
	}
	b.WriteString("\nTerm by term\n")
	kinds := map[Kind]int{}
	for _, c := range d.Changes {
		kinds[c.Kind]++
		fmt.Fprintf(&b, "  %-8s %s\n", strings.ToLower(string(c.Kind)), c.Term)
		b.WriteString(wrap(c.Text, "           ", "           "))
		if c.Kind == Changes && len(c.Before)+len(c.After) > 40 && !strings.Contains(c.Text, c.After) {
			b.WriteString(wrap(orNone(c.Before), "           - ", "             "))
			b.WriteString(wrap(orNone(c.After), "           + ", "             "))
		}
	}
	fmt.Fprintf(&b, "\n%d widen, %d narrow, %d otherwise change.\n", kinds[Widens], kinds[Narrows], kinds[Changes])
	return b.String()
}
