package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Command runs a command of entente as a person with the admin's kubeconfig would, and returns what it prints to standard output.
func (s *Stack) Command(ctx context.Context, args ...string) (string, error) {
	return s.commandWith(ctx, []string{"KUBECONFIG=" + s.Kubeconfig}, args...)
}

func (s *Stack) commandWith(ctx context.Context, env []string, args ...string) (string, error) {
	out, err := s.run(ctx, s.Entente, env, args...)
	if err != nil {
		return out, fmt.Errorf("entente %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func (s *Stack) run(ctx context.Context, program string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(cleanEnv(), env...)
	cmd.Dir = s.Dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, bytes.TrimSpace(problems.Bytes()))
	}
	return out.String(), nil
}

// cleanEnv is this process's environment without what would steer the programs elsewhere.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		for _, prefix := range []string{"VAULT_", "ENTENTE_", "KUBECONFIG=", "PG", "POD_", "KUBERNETES_"} {
			if strings.HasPrefix(e, prefix) {
				return true
			}
		}
		return false
	})
}
