package demo

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// printer tells the story.
type printer struct {
	w           io.Writer
	color, live bool
	right       int
	wrong       int
	open        bool // a progress line is being written over
}

const (
	bold  = "1"
	dim   = "2"
	green = "32"
	red   = "31"
	cyan  = "36"
)

func (p *printer) paint(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *printer) title(title, text string) {
	p.line("\n%s\n%s\n", p.paint(bold, title), p.paint(dim, text))
}

func (p *printer) note(format string, args ...any) { p.line("\n"+format, args...) }

func (p *printer) step(n int, title, why string) {
	p.line("\n%s  %s", p.paint(bold, fmt.Sprintf("%d", n)), p.paint(bold, title))
	for _, l := range wrap(why, 100) {
		p.line("   %s", p.paint(dim, l))
	}
}

// command shows what a person would type.
func (p *printer) command(who, text string) {
	p.line("")
	for i, l := range strings.Split(text, "\n") {
		prompt := "  "
		if i == 0 {
			prompt = "$ "
		}
		p.line("   %s%s%s", p.paint(dim, who+" "), p.paint(dim, prompt), p.paint(cyan, l))
		who = strings.Repeat(" ", utf8.RuneCountInString(who))
	}
}

// table prints rows in columns; the first row is the heading.
func (p *printer) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text := strings.TrimRight(b.String(), " ")
		if n == 0 {
			text = p.paint(dim, text)
		}
		p.line("     %s", text)
	}
}

// refusal prints who refused, and in its own words why.
func (p *printer) refusal(who, message string) {
	p.line("     %s", who)
	for _, l := range wrap(message, 92) {
		p.line("       %s", p.paint(dim, l))
	}
}

// expect says what had to come out, and whether it did.
func (p *printer) expect(ok bool, format string, args ...any) {
	mark := p.paint(green, "✓")
	if ok {
		p.right++
	} else {
		p.wrong++
		mark = p.paint(red, "✗")
	}
	p.line("   %s %s", mark, fmt.Sprintf(format, args...))
}

func (p *printer) summary() string {
	if p.wrong == 0 {
		return p.paint(green, fmt.Sprintf("✓ all %d as expected", p.right))
	}
	return p.paint(red, fmt.Sprintf("✗ %d of %d otherwise than expected", p.wrong, p.right+p.wrong))
}

// progress tells how far something is; done 1 ends it.
func (p *printer) progress(what string, done float64) {
	if p.live {
		const width = 30
		full := int(done * width)
		fmt.Fprintf(p.w, "\r\x1b[K   %s %s%s %3.0f %%", what, strings.Repeat("█", full), strings.Repeat("░", width-full), done*100)
		p.open = true
	}
}

// logTail shows the last lines of a log, when something failed.
func (p *printer) logTail(name, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	var last []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if last = append(last, s.Text()); len(last) > 8 {
			last = last[1:]
		}
	}
	p.note("%s said last:", name)
	for _, l := range last {
		p.line("   %s", l)
	}
}

// wrap breaks text into lines.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
