package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// VaultError is an answer of Vault other than success.
type VaultError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *VaultError) Error() string {
	return fmt.Sprintf("vault: %s %s: status %d: %.500s", e.Method, e.Path, e.Status, e.Body)
}

// Call calls Vault's HTTP API with the root token: method is GET, LIST, POST, PUT or DELETE, path is without the leading /v1/, body
// is sent as JSON unless it is nil. It returns the answer's JSON, nil if there is none.
func (v *Vault) Call(ctx context.Context, method, path string, body any) (map[string]any, error) {
	return v.CallAs(ctx, v.token, method, path, body)
}

// CallAs is Call with another token, or without one if it is empty, as for a login.
func (v *Vault) CallAs(ctx context.Context, token, method, path string, body any) (map[string]any, error) {
	c, err := v.httpClient()
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("vault: %s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.Address()+"/v1/"+path, payload)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("vault: %s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		return nil, &VaultError{Method: method, Path: path, Status: res.StatusCode, Body: string(bytes.TrimSpace(data))}
	}
	if len(data) == 0 {
		return nil, nil
	}
	var answer map[string]any
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("vault: %s %s: answer: %w", method, path, err)
	}
	return answer, nil
}
