package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Browser is a real one, headless.
type Browser struct{ program, profile string }

// RequireBrowser finds or installs a browser for one test; skipped under -short.
func RequireBrowser(tb testing.TB) *Browser {
	tb.Helper()
	var profile string
	ctx := require(tb, &profile)
	tools, err := Tools(ctx, BrowserTools)
	if err != nil {
		tb.Fatal(err)
	}
	return &Browser{program: tools.Browser, profile: profile}
}

// consoleLine is how Chromium logs what a page writes to the console.
var consoleLine = regexp.MustCompile(`(?m)^\[[^\]]*:CONSOLE[^\]]*\] .*$`)

// Load loads a page and gives the document as the browser has it then, and every message on its console.
func (b *Browser) Load(ctx context.Context, url string) (document string, console []string, err error) {
	out, messages, err := b.run(ctx, "--enable-logging=stderr", "--dump-dom", url)
	return out, consoleLine.FindAllString(messages, -1), err
}

// Picture is what the page looks like, in PNG, with JavaScript or without.
func (b *Browser) Picture(ctx context.Context, url string, width, height int, scripts bool) ([]byte, error) {
	file := filepath.Join(b.profile, "page.png")
	args := []string{"--hide-scrollbars", fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot=" + file}
	if !scripts {
		args = append(args, "--blink-settings=scriptEnabled=false")
	}
	if _, _, err := b.run(ctx, append(args, url)...); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

func (b *Browser) run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	args = append([]string{"--headless", "--disable-gpu", "--no-first-run", "--user-data-dir=" + b.profile}, args...)
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // which root cannot have; the pages are our own
	}
	cmd := exec.CommandContext(ctx, b.program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", "", fmt.Errorf("testenv: %s: %w\n%s", b.program, err, errs.String())
	}
	return out.String(), errs.String(), nil
}
