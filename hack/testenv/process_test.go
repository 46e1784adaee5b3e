package testenv_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/testenv"
)

// TestOrphans kills a process that has started all servers and looks what is left of them.
func TestOrphans(t *testing.T) {
	if dir := os.Getenv("ENTENTE_TESTENV_ORPHANS"); dir != "" {
		startAndWait(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("needs real servers: run without -short")
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestOrphans$", "-test.v")
	cmd.Env = append(os.Environ(), "ENTENTE_TESTENV_ORPHANS="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var postgres string
	for s := bufio.NewScanner(out); s.Scan(); {
		if _, path, ok := strings.Cut(s.Text(), "all started: "); ok {
			postgres = path
			break
		}
	}
	// The signal that nobody can handle.
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if postgres == "" {
		t.Fatal("the servers did not start")
	}
	t.Cleanup(func() { os.RemoveAll(postgres) })
	deadline := time.Now().Add(2 * time.Minute)
	for {
		left := processesIn(t, dir, postgres)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left running: %s", strings.Join(left, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func startAndWait(t *testing.T, dir string) {
	if _, err := testenv.StartKube(t.Context(), testenv.KubeOptions{Dir: dir + "/kube"}); err != nil {
		t.Fatal(err)
	}
	v, err := testenv.StartVault(t.Context(), testenv.VaultOptions{Dir: dir + "/vault"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := testenv.StartPostgres(t.Context(), testenv.PostgresOptions{Dir: dir + "/postgres", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	configureDatabase(t, v, p) // starts Vault's plugin, if that is not built in
	running := processesIn(t, dir, p.SocketDir())
	for _, name := range []string{"etcd", "kube-apiserver", "vault", "postgres"} {
		if !slices.ContainsFunc(running, func(p string) bool { return strings.Contains(p, name+" ") }) {
			t.Fatalf("no %s among the processes:\n%s", name, strings.Join(running, "\n"))
		}
	}
	fmt.Println("all started: " + p.SocketDir())
	select {}
}

// processesIn lists the processes that work in one of the folders.
func processesIn(t *testing.T, dirs ...string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		line, err1 := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		cwd, err2 := os.Readlink("/proc/" + e.Name() + "/cwd")
		if err1 != nil || err2 != nil {
			continue // ended meanwhile, or no process
		}
		for _, dir := range dirs {
			if cwd == dir || strings.HasPrefix(cwd, dir+"/") {
				found = append(found, e.Name()+" "+strings.ReplaceAll(string(line), "\x00", " "))
				break
			}
		}
	}
	return found
}
