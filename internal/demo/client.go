package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// question is a query, in the form of the REST API.
type question struct {
	Schema        string        `json:"schema"`
	Filter        string        `json:"filter,omitempty"`
	Fields        []string      `json:"fields,omitempty"`
	Granularity   string        `json:"granularity,omitempty"`
	Purpose       string        `json:"purpose"`
	Justification justification `json:"justification"`
	Agencies      []string      `json:"agencies,omitempty"`
}

// args are those of `entente query` and `entente explain`.
func (q question) args() []string {
	args := []string{q.Schema, "--filter", q.Filter}
	if q.Granularity != "" {
		args = append(args, "--granularity", strings.ToLower(q.Granularity))
	}
	if len(q.Fields) > 0 {
		args = append(args, "--fields", strings.Join(q.Fields, ","))
	}
	if len(q.Agencies) > 0 {
		args = append(args, "--agencies", strings.Join(q.Agencies, ","))
	}
	return append(args, "--purpose", q.Purpose, "--case-reference", q.Justification.CaseReference, "--subject-role", q.Justification.SubjectRole)
}

// line is the command as a person would type it.
func (q question) line(verb string) string {
	args := q.args()
	line := "entente " + verb + " " + args[0]
	for i := 1; i+1 < len(args); i += 2 {
		value := args[i+1]
		if strings.ContainsAny(value, ` "'&|<>()[]*?$`) {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		if args[i] == "--purpose" || args[i] == "--fields" {
			line += " \\\n "
		}
		line += " " + args[i] + " " + value
	}
	return line
}

type justification struct {
	CaseReference string `json:"caseReference"`
	SubjectRole   string `json:"subjectRole"`
}

// answer is what comes back, be it records or a refusal.
type answer struct {
	Status  int `json:"-"`
	Records []struct {
		Source struct {
			Agency, Dataset, Agreement, Clause, DisclosureID string
			Obligations                                      struct {
				RetentionDays *int64
				Redisclosure  string
			}
		}
		Record map[string]any
	}
	Sources []source
	// Of a refusal of the whole.
	Reason, Detail, Term string
}

type source struct {
	Agency, Outcome, Reason, Message, Clause, DisclosureID, Granularity string
	Exists                                                              *bool
	Count                                                               *int64
	Suppressed                                                          bool
	Records, ElapsedMicros                                              int64
	RefusedLocally                                                      bool
}

// of gives what one agency answered.
func (a *answer) of(agency string) source {
	for _, s := range a.Sources {
		if s.Agency == agency {
			return s
		}
	}
	return source{}
}

// explanation is the answer of explain.
type explanation struct {
	Clauses []struct {
		Agency, Agreement, Clause string
		Allowed                   bool
		Checks                    []struct {
			Name, Term, Message string
			Passed              bool
		}
	}
}

// client is an analyst with a certificate.
type client struct {
	rest, grpc, dir string
	http            *http.Client
}

func newClient(p ports, dir string) (*client, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}}
	return &client{rest: "https://" + p.REST, grpc: p.GRPC, dir: dir, http: &http.Client{Transport: t, Timeout: 15 * time.Second}}, nil
}

// env is how the commands of `entente` find the gateway.
func (c *client) env() []string {
	return []string{
		"ENTENTE_SERVER=" + c.grpc,
		"ENTENTE_CERTIFICATE_AUTHORITY=" + filepath.Join(c.dir, "ca.pem"),
		"ENTENTE_CLIENT_CERTIFICATE=" + filepath.Join(c.dir, "cert.pem"),
		"ENTENTE_CLIENT_KEY=" + filepath.Join(c.dir, "key.pem"),
	}
}

// ask asks by REST.
func (c *client) ask(ctx context.Context, q question) (*answer, error) {
	a := &answer{}
	var err error
	a.Status, err = c.post(ctx, "/v1/query", q, a)
	return a, err
}

func (c *client) post(ctx context.Context, path string, body, into any) (int, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.rest+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return 0, fmt.Errorf("%s: %s: %w", path, resp.Status, err)
	}
	return resp.StatusCode, nil
}

// curl is the line that asks the same, with the certificate's files in dir.
func (c *client) curl(q question, dir string) string {
	text, _ := json.Marshal(q) // strings only
	return fmt.Sprintf("curl -s --cacert %[1]s/ca.pem --cert %[1]s/cert.pem --key %[1]s/key.pem \\\n  -H 'Content-Type: application/json' %[2]s/v1/query -d \\\n  '%[3]s'",
		dir, c.rest, strings.ReplaceAll(string(text), "'", `'\''`))
}
