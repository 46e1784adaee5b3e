package main

import (
	"os"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/audit"
)

// A disclosure is erased, whoever has the log open; what was done and why is shown in its place.
func TestAuditErase(t *testing.T) {
	for _, open := range []bool{false, true} {
		dir := auditLog(t)
		var log *audit.Log
		if open {
			var err error
			if log, err = audit.Open(dir, audit.Options{Origin: "labor-inspectorate.example/gateway-0"}); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"erase", "--dir", dir, "--disclosure", "d-1", "--reason", "entered in error", "--by", "records office"}
		out, _, err := runAudit(t, args...)
		if err != nil || out != "2 entries erased\n" {
			t.Fatalf("open elsewhere %v: %q %v", open, out, err)
		}
		if _, _, err := runAudit(t, args...); err == nil || !strings.Contains(err.Error(), "nothing was erased") {
			t.Errorf("open elsewhere %v: again: %v", open, err)
		}
		if log != nil {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		}
		out, _, err = runAudit(t, "show", "--dir", dir, "-o", "yaml", "--disclosure", "d-1")
		if err != nil || !strings.Contains(out, "message: entered in error") || !strings.Contains(out, "localUser: records office") || !strings.Contains(out, "entries: 1-2") {
			t.Errorf("%v\n%s", err, out)
		}
		out, _, err = runAudit(t, "verify", "--dir", dir)
		if err != nil || !strings.Contains(out, "opened, each is what the chain committed to; 2 erased\n") || !strings.Contains(out, "whole\n") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// Without the key anyone can verify the chain, is told that it is no more than that, and sees no record.
func TestAuditWithoutKey(t *testing.T) {
	dir := auditLog(t)
	key := audit.LocalKeyFile(dir)
	elsewhere := key + ".elsewhere"
	if err := os.Rename(key, elsewhere); err != nil {
		t.Fatal(err)
	}
	out, _, err := runAudit(t, "verify", "--dir", dir)
	if err != nil || !strings.Contains(out, "3 sealed: checksums only, there is no key here\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("another key was made")
	}
	out, _, err = runAudit(t, "show", "--dir", dir)
	if err == nil || !strings.Contains(err.Error(), "--key-file") || strings.Contains(out, "d-1") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err := runAudit(t, "erase", "--dir", dir, "--disclosure", "d-1", "--reason", "x"); err == nil || !strings.Contains(err.Error(), "--key-file") {
		t.Errorf("to find a disclosure the key is needed: %v", err)
	}
	if out, _, err = runAudit(t, "verify", "--dir", dir, "--key-file", elsewhere); err != nil || !strings.Contains(out, "3 opened") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAuditEraseRefuses(t *testing.T) {
	dir := auditLog(t)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--reason", "x"}, "at least one of"},
		{[]string{"--disclosure", "d-1"}, `"reason" not set`},
		{[]string{"--disclosure", "d-1", "--before", "2026-01-01", "--reason", "x"}, "none of the others can be"},
		{[]string{"--before", "yesterday", "--reason", "x"}, "use 2025-01-01"},
		{[]string{"--before", "2020-01-01", "--reason", "x"}, "nothing was erased"},
		{[]string{"--disclosure", "d-1", "--reason", strings.Repeat("x", 600)}, "at most 512 bytes"},
		{[]string{"--disclosure", "d-1", "--reason", "x", "--key-file", "/nowhere"}, "--key-file"},
	} {
		if _, _, err := runAudit(t, append([]string{"erase", "--dir", dir}, tc.args...)...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v, want %q", tc.args, err, tc.want)
		}
	}
}
