package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/jsonform"
)

// Question is a query in the form of the REST API.
type Question struct {
	Schema        string        `json:"schema"`
	Filter        string        `json:"filter,omitempty"`
	Fields        []string      `json:"fields,omitempty"`
	Granularity   string        `json:"granularity,omitempty"`
	Purpose       string        `json:"purpose"`
	Justification Justification `json:"justification"`
	Agencies      []string      `json:"agencies,omitempty"`
}

// Justification says why a question is asked.
type Justification struct {
	CaseReference string `json:"caseReference"`
	SubjectRole   string `json:"subjectRole,omitempty"`
}

// Answer is what comes back, be it records or a refusal of the whole.
type Answer struct {
	Status  int `json:"-"` // of HTTP; 0 over gRPC
	Records []Record
	Sources []jsonform.SourceStatus
	Summary *jsonform.QuerySummary
	// Of a refusal of the whole.
	Reason, Detail, Term string
}

// Record is one record with its provenance.
type Record struct {
	Source struct {
		Agency, Dataset, Agreement, Clause, DisclosureID string
		Obligations                                      struct {
			RetentionDays *int64
			Redisclosure  string
		}
	}
	Record map[string]any
}

// Of is how one agency ended; zero if it was not asked.
func (a *Answer) Of(agency string) jsonform.SourceStatus {
	for _, s := range a.Sources {
		if s.Agency == agency {
			return s
		}
	}
	return jsonform.SourceStatus{}
}

// Analyst is a person, or an application, with a client certificate of the agency's own authority.
type Analyst struct {
	// Dir has cert.pem and key.pem, and env for `entente query`.
	Dir string

	agency *Agency
	http   *http.Client
	grpc   *grpc.ClientConn
}

// NewAnalyst gives a person a certificate that the agency's gateway takes.
func (a *Agency) NewAnalyst(user string, groups ...string) (*Analyst, error) {
	dir := a.File("people/" + user)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	certFile, keyFile, err := a.users.Issue(dir, user, groups...)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(a.File("ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New(a.File("ca.pem") + " holds no certificate")
	}
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	p := &Analyst{Dir: dir, agency: a}
	p.http = &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 30 * time.Second}
	if p.grpc, err = grpc.NewClient(a.Addresses.GRPC, grpc.WithTransportCredentials(credentials.NewTLS(config))); err != nil {
		return nil, err
	}
	lines := "# What `entente query` needs: . " + dir + "/env\n"
	for _, v := range p.Env() {
		lines += "export " + v + "\n"
	}
	return p, os.WriteFile(dir+"/env", []byte(lines), 0o644)
}

// Env is how the commands of entente find the gateway.
func (p *Analyst) Env() []string {
	return []string{
		"ENTENTE_SERVER=" + p.agency.Addresses.GRPC, "ENTENTE_CERTIFICATE_AUTHORITY=" + p.agency.File("ca.pem"),
		"ENTENTE_CLIENT_CERTIFICATE=" + p.Dir + "/cert.pem", "ENTENTE_CLIENT_KEY=" + p.Dir + "/key.pem",
	}
}

// Close closes connections.
func (p *Analyst) Close() {
	p.http.CloseIdleConnections()
	_ = p.grpc.Close()
}

// Get reads what the gateway serves at a path.
func (p *Analyst) Get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.agency.Addresses.REST+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", path, resp.Status, text)
	}
	return string(text), err
}

// Ask asks over REST.
func (p *Analyst) Ask(ctx context.Context, q Question) (*Answer, error) {
	return p.AskAt(ctx, p.agency.Addresses.REST, q)
}

// AskAt is Ask of a gateway at an address.
func (p *Analyst) AskAt(ctx context.Context, address string, q Question) (*Answer, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/v1/query", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &Answer{Status: resp.StatusCode}
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("%s: %w: %.200s", resp.Status, err, text)
	}
	return a, nil
}

// AskGRPC asks over gRPC. A refusal of the whole is the error.
func (p *Analyst) AskGRPC(ctx context.Context, q Question) (*Answer, error) {
	req := &gatewayv1.QueryRequest{
		Schema: q.Schema, Filter: q.Filter, Fields: q.Fields, Purpose: q.Purpose, Agencies: q.Agencies,
		Justification: &gatewayv1.Justification{CaseReference: q.Justification.CaseReference, SubjectRole: q.Justification.SubjectRole},
	}
	if q.Granularity != "" {
		g, ok := jsonform.ParseGranularity(q.Granularity)
		if !ok {
			return nil, fmt.Errorf("granularity %q", q.Granularity)
		}
		req.Granularity = g
	}
	stream, err := gatewayv1.NewQueryServiceClient(p.grpc).Query(ctx, req)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	document := jsonform.Document{W: &text}
	for {
		frame, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := document.Frame(frame); err != nil {
			return nil, err
		}
	}
	if err := document.End(); err != nil {
		return nil, err
	}
	a := &Answer{}
	return a, json.Unmarshal(text.Bytes(), a)
}

// Entente runs a command of entente as this person, such as query or explain.
func (p *Analyst) Entente(ctx context.Context, args ...string) (string, error) {
	return p.agency.stack.commandWith(ctx, p.Env(), args...)
}

// Curl is the line that asks over REST, for a person to paste.
func (p *Analyst) Curl(q Question) string {
	text, _ := json.Marshal(q) // strings only
	return fmt.Sprintf("curl -s --cacert %s --cert %s/cert.pem --key %s/key.pem \\\n  -H 'Content-Type: application/json' https://%s/v1/query -d \\\n  '%s'",
		p.agency.File("ca.pem"), p.Dir, p.Dir, p.agency.Addresses.REST, strings.ReplaceAll(string(text), "'", `'\''`))
}
