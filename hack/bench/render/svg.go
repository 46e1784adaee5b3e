package main

import (
	"fmt"
	"html"
	"strings"
)

// bar is one line of a chart. A mark is what is promised; 0: nothing is.
type bar struct {
	label       string
	value, mark float64
	text        string
}

// barChart draws horizontal bars, each with its number beside it, as a picture that explains itself to who cannot see it.
func barChart(title, unit string, bars []bar) string {
	const (
		width, left, right = 760, 250, 90
		row, top, bottom   = 24, 34, 14
	)
	most := 0.0
	for _, b := range bars {
		most = max(most, b.value, b.mark)
	}
	if most == 0 {
		most = 1
	}
	height := top + row*len(bars) + bottom
	scale := float64(width-left-right) / most
	var d, words strings.Builder
	for i, b := range bars {
		y := top + row*i
		fmt.Fprintf(&d, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+15, html.EscapeString(b.label))
		fmt.Fprintf(&d, `<rect class="bar" x="%d" y="%d" width="%.1f" height="%d"/>`, left, y+3, b.value*scale, row-8)
		fmt.Fprintf(&d, `<text x="%.1f" y="%d">%s</text>`+"\n", float64(left)+max(b.value, b.mark)*scale+6, y+15, html.EscapeString(b.text))
		if b.mark > 0 {
			x := float64(left) + b.mark*scale
			fmt.Fprintf(&d, `<line class="mark" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, y, x, y+row-2)
		}
		fmt.Fprintf(&words, "%s: %s. ", b.label, b.text)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">
<title id="t">%s</title>
<desc id="d">%s</desc>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.bar { fill: #4a7fb5 }
.mark { stroke: #b3471d; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #d0d7de } .bar { fill: #6ea8de } .mark { stroke: #ff9b70 } }
</style>
<text class="head" x="8" y="18">%s, %s</text>
%s</svg>
`, width, height, html.EscapeString(title), html.EscapeString(strings.TrimSpace(words.String())), html.EscapeString(title), html.EscapeString(unit), d.String())
}
