package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/entente-dev/entente/internal/demo/data"
)

// accounts is what others may ask of the logs afterwards: the other side, whoever mistrusts, the person concerned, an overseer, the
// public.
func accounts(ctx context.Context, s *stage) error {
	for _, part := range []func(context.Context, *stage) error{compared, flipped, accounting, report, published} {
		if err := part(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// shown is the folder of an agency's log as people type it.
func shown(name string) string { return name + "/.entente/gateway/log" }

// compared holds the logs of two agencies against each other.
func compared(ctx context.Context, s *stage) error {
	args := []string{"audit", "reconcile", "--peer", police, "--since", "1h", "--delay", "0s", "--config"}
	s.out.command(labor, "entente "+strings.Join(args, " ")+" "+labor)
	out, err := s.command(ctx, append(args, s.agency(labor).dir)...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	for l := range strings.Lines(string(out)) {
		s.out.line("     %s", strings.TrimRight(l, "\n"))
	}
	s.out.expect(err == nil && strings.Contains(string(out), " Matched"), "%s and %s hold their logs against each other: both say the same. Only ids and digests crossed", labor, police)
	return nil
}

// flipped changes one bit in a copy of a log.
func flipped(ctx context.Context, s *stage) error {
	copied := filepath.Join(s.root, "copy-of-a-log")
	if err := os.CopyFS(copied, os.DirFS(s.logDir(labor))); err != nil {
		return err
	}
	defer os.RemoveAll(copied)
	segments, err := filepath.Glob(filepath.Join(copied, "*.chain"))
	if err != nil || len(segments) == 0 {
		return fmt.Errorf("the log has no segments: %v", err)
	}
	content, err := os.ReadFile(segments[0])
	if err != nil {
		return err
	}
	const offset = 128*4 + 50 // in the fourth entry
	content[offset] ^= 1
	if err := os.WriteFile(segments[0], content, 0o600); err != nil {
		return err
	}
	s.out.command(labor, "cp -r "+shown(labor)+" copy  # and one bit of it is changed\nentente audit verify --dir copy")
	_, err = s.command(ctx, "audit", "verify", "--dir", copied)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		s.out.expect(false, "one bit of a copy of the log is changed, and nobody notices: %v", err)
		return nil
	}
	said := string(bytes.TrimSpace(exit.Stderr))
	s.out.line("     %s", s.out.paint(dim, said))
	s.out.expect(strings.Contains(said, filepath.Base(segments[0])) && strings.Contains(said, "entry 4"), "one bit of a copy of the log is changed: found, with file, byte and entry")
	return nil
}

// accounting is the copy for the person concerned.
func accounting(ctx context.Context, s *stage) error {
	p := data.Marisol()
	subject := filepath.Join(s.root, "person.txt")
	if err := os.WriteFile(subject, []byte("person.document_number="+p.Document+"\n"), 0o600); err != nil {
		return err
	}
	args := []string{"audit", "disclosures", "--for-person", "--withhold", "entente:victim-support=the support plan is still open"}
	s.out.command(labor, "echo person.document_number=… | entente "+strings.Join(args[:3], " ")+" \\\n  --withhold 'entente:victim-support=the support plan is still open' --dir "+shown(labor)+" --config "+labor)
	out, err := s.command(ctx, append(args, "--dir", s.logDir(labor), "--config", s.agency(labor).dir, "--subject", subject)...)
	if err != nil {
		return err
	}
	text := string(out)
	first, _, _ := strings.Cut(text, "\n  2. ")
	for l := range strings.Lines(strings.TrimSpace(first)) {
		s.out.line("     %s", strings.TrimRight(l, "\n"))
	}
	s.out.line("     %s", s.out.paint(dim, "…"))
	s.out.expect(strings.Contains(text, "State Police, 1 Capitol Road") && strings.Contains(text, "monthly_wage"),
		"%s reads in %s's accounting to whom it showed what of her, when and why, with an address to write to", p.Given, labor)
	s.out.expect(!strings.Contains(text, "victim-support") && !strings.Contains(text, "HTF-2026"), "what the agency withholds on a stated ground is not in her copy, nor are case numbers")
	return nil
}

// report is the page for oversight.
func report(ctx context.Context, s *stage) error {
	s.out.command(labor, "entente audit report --dir "+shown(labor)+" --config "+labor)
	args := []string{"audit", "report", "--dir", s.logDir(labor), "--config", s.agency(labor).dir}
	out, err := s.command(ctx, args...)
	if err != nil {
		return err
	}
	asked, _, _ := strings.Cut(string(out), "\nAsked by")
	for l := range strings.Lines(strings.TrimSpace(asked)) {
		s.out.line("     %s", strings.TrimRight(l, "\n"))
	}
	page, err := s.command(ctx, append(args, "-o", "html")...)
	if err != nil {
		return err
	}
	path := filepath.Join(s.root, "report.html")
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return err
	}
	s.out.expect(bytes.Contains(page, []byte("<svg")) && !bytes.Contains(page, []byte("<script")) && !bytes.Contains(page, []byte(data.Marisol().Document)),
		"the same as one page with charts (-o html, %d KB): no script, no person", (len(page)+1023)/1024)
	return nil
}

// published is the register for the public.
func published(ctx context.Context, s *stage) error {
	s.out.command(labor, "entente register build --out register --dir "+shown(labor)+" --config "+labor)
	site := filepath.Join(s.root, "register")
	if _, err := s.command(ctx, "register", "build", "--out", site, "--dir", s.logDir(labor), "--config", s.agency(labor).dir); err != nil {
		return err
	}
	page, err := os.ReadFile(filepath.Join(site, "agreements", "harbor-task-force.html"))
	s.out.expect(err == nil && bytes.Contains(page, []byte("State Police")) && !bytes.Contains(page, []byte("HTF-20")),
		"the public register: what is agreed and between whom, and no case")
	return nil
}
