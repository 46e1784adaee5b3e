package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the command once: what the demonstration shows is what it does.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "entente-demo-test-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	path := filepath.Join(dir, "entente")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/entente").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// builtIn is the folder that binary made; empty: it made none.
var builtIn string

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs three agencies")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// running lists the processes of the binary.
func running(t *testing.T, path string) []string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("looks for processes in /proc")
	}
	var found []string
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == path {
			found = append(found, l)
		}
	}
	return found
}

// clean says that nothing is left: no process, no file.
func clean(t *testing.T, path string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			t.Errorf("left behind: %s", filepath.Join(dir, e.Name()))
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		left := running(t, path)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left running: %v", left)
		}
	}
}

// start starts the command with a home and a temporary folder of its own.
func start(t *testing.T, path string, args ...string) (cmd *exec.Cmd, out *syncBuffer, home, tmp string) {
	t.Helper()
	home, tmp = t.TempDir(), t.TempDir()
	out = &syncBuffer{}
	cmd = exec.Command(path, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out, home, tmp
}

// syncBuffer is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *syncBuffer) await(t *testing.T, text string) {
	t.Helper()
	b.awaitMatch(t, regexp.MustCompile(regexp.QuoteMeta(text)))
}

func (b *syncBuffer) awaitMatch(t *testing.T, text *regexp.Regexp) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !text.MatchString(b.String()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never said %q:\n%s", text, b)
		}
	}
}

func TestDemo(t *testing.T) {
	path := build(t)
	cmd, out, home, tmp := start(t, path)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := out.String(); strings.Contains(text, "✗") || strings.Contains(text, "\x1b") || !strings.Contains(text, "as expected") {
		t.Errorf("told:\n%s", text)
	}
	clean(t, path, home, tmp)
}

func TestStopped(t *testing.T) {
	path := build(t)
	for name, c := range map[string]struct {
		signal syscall.Signal
		when   string
	}{
		"while it generates": {syscall.SIGINT, "Three agencies"},
		"while it plays":     {syscall.SIGTERM, "three installations start"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, out, home, tmp := start(t, path)
			out.await(t, c.when)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Errorf("exit code 0 though it was stopped:\n%s", out)
			}
			clean(t, path, home, tmp)
		})
	}
	t.Run("killed", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("only Linux ends the children of a process that was killed")
		}
		cmd, out, _, _ := start(t, path)
		out.await(t, "three installations start")
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		clean(t, path)
	})
}

func TestKeep(t *testing.T) {
	path := build(t)
	dir := filepath.Join(t.TempDir(), "kept")
	cmd, out, home, tmp := start(t, path, "--keep", "--dir", dir)
	out.await(t, "agreement decide "+agreement+" --resume")
	out.awaitMatch(t, regexp.MustCompile(`(?s) --resume .*\n`)) // the last line is whole
	t.Run("commands that it prints work", func(t *testing.T) {
		text := out.String()
		text = text[strings.Index(text, "It stays up"):]
		for _, c := range []struct{ from, want string }{{"curl -s", `"employer":"Harbor Seafood 7"`}, {". " + dir, "Harbor Seafood 7"}} {
			script := printed(text, c.from)
			if strings.HasPrefix(script, "curl") {
				if _, err := exec.LookPath("curl"); err != nil {
					continue
				}
			}
			sh := exec.Command("sh", "-c", script)
			sh.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
			answer, err := sh.Output()
			var exit *exec.ExitError
			if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitIncomplete) { // one agency has suspended
				t.Errorf("%s\n%v", script, err)
			}
			if !strings.Contains(string(answer), c.want) {
				t.Errorf("%s\nanswered %s", script, answer)
			}
		}
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	clean(t, path, home, tmp)
	if _, err := os.Stat(filepath.Join(dir, "README.txt")); err != nil {
		t.Error(err)
	}
}

// printed is the command in the text that begins so, without the prompt's indentation.
func printed(text, from string) string {
	text = text[strings.Index(text, from):]
	text, _, _ = strings.Cut(text, "\n\n")
	return text
}

func TestWrongExpectationFails(t *testing.T) {
	path := build(t)
	var out bytes.Buffer
	err := run(t.Context(), Options{Binary: path, Out: &out}, []step{{"It is otherwise", "why", func(_ context.Context, s *stage) error {
		s.out.expect(true, "so far, so good")
		s.out.expect(false, "the earth is flat")
		return nil
	}}})
	if !errors.Is(err, ErrUnexpected) || !strings.Contains(out.String(), "✗ the earth is flat") {
		t.Errorf("error %v:\n%s", err, &out)
	}
	clean(t, path)
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), Options{Keep: true, Dir: dir, Out: &bytes.Buffer{}}); err == nil {
		t.Error("wrote among somebody's files")
	}
}
