package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/hack/bench/rig"
)

type certificate = tls.Certificate

// Kinds of targets.
const (
	kindSource = "SourceService"
	kindUsers  = "QueryService"
	kindHTTP   = "HTTP"
	kindSQL    = "SQL"
)

// target is what the child asks.
type target struct {
	Name, Kind, Address string
	SQL                 string   `json:",omitempty"`
	Agencies            []string // each has one record of a person
	// Chain and Key (PKCS #8) of the caller; Authority of the server.
	Chain, Key, Authority []byte
}

func (w *world) add(t target, own *certificate, ca *rig.Authority) (err error) {
	t.Chain, t.Authority = own.Certificate[0], ca.Certificate.Raw
	t.Key, err = x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	w.targets = append(w.targets, t)
	return err
}

// asker connects to a target, for the child.
func asker(t target) (string, func(int64) error, error) {
	ask, err := t.ask()
	return t.Name, ask, err
}

func person(i int64) string { return fmt.Sprintf("P%06d", i*7919%people) }

func (t *target) ask() (func(int64) error, error) {
	if t.Kind == kindSQL {
		return t.askSQL()
	}
	key, err := x509.ParsePKCS8PrivateKey(t.Key)
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(t.Authority)
	if err != nil {
		return nil, err
	}
	own := &certificate{Certificate: [][]byte{t.Chain}, PrivateKey: key}
	if t.Kind == kindHTTP {
		return t.askHTTP(own, authority), nil
	}
	conn, err := rig.Dial(t.Address, own, authority, t.Kind == kindUsers)
	if err != nil {
		return nil, err
	}
	if t.Kind == kindUsers {
		return t.askUsers(conn), nil
	}
	return t.askSource(conn), nil
}

var (
	fields = []string{"person_number", "birth_date"}
	why    = &gatewayv1.Justification{CaseReference: "SP-2026-1"}
)

func filter(i int64) string { return `person_number == "` + person(i) + `"` }

func (t *target) askSource(conn *grpc.ClientConn) func(int64) error {
	c := gatewayv1.NewSourceServiceClient(conn)
	return func(i int64) error {
		stream, err := c.Retrieve(context.Background(), &gatewayv1.RetrieveRequest{
			DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: "with-" + t.Agencies[0], Version: 1, Clause: "persons", Schema: "person.v1",
			Filter: filter(i), Fields: fields, Granularity: gatewayv1.Granularity_GRANULARITY_RECORDS,
			Purpose: purpose, Justification: why, User: "AAAAAAAAAAAAAAAAAAAAAA",
		})
		if err != nil {
			return err
		}
		f, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(f.GetRecords().GetRecords()) != 1 {
			return fmt.Errorf("%v", f.GetResult())
		}
		return rig.Ended(stream.Recv())
	}
}

func (t *target) askUsers(conn *grpc.ClientConn) func(int64) error {
	c := gatewayv1.NewQueryServiceClient(conn)
	return func(i int64) error {
		stream, err := c.Query(context.Background(), &gatewayv1.QueryRequest{Schema: "person", Filter: filter(i), Fields: fields, Purpose: purpose, Justification: why, Agencies: t.Agencies})
		if err != nil {
			return err
		}
		records := 0
		for {
			f, err := stream.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if s := f.GetSource(); s != nil && s.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK {
				return fmt.Errorf("%v", s)
			}
			records += len(f.GetRecords().GetRecords())
		}
		return t.counted(records)
	}
}

func (t *target) counted(records int) error {
	if records != len(t.Agencies) {
		return fmt.Errorf("%d records of %d", records, len(t.Agencies))
	}
	return nil
}

// askHTTP uses as many HTTP/1.1 connections as there are callers, which is the fastest that lura takes.
func (t *target) askHTTP(own *certificate, authority *x509.Certificate) func(int64) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own}, RootCAs: roots},
		MaxIdleConnsPerHost: 1024,
	}}
	return func(i int64) error {
		r, err := client.Get(t.Address + person(i))
		if err != nil {
			return err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		var answer map[string]map[string]string
		if err := json.Unmarshal(b, &answer); err != nil {
			return fmt.Errorf("%s: %w", r.Status, err)
		}
		n := 0
		for _, a := range t.Agencies {
			if answer[a]["birth_date"] != "" {
				n++
			}
		}
		return t.counted(n)
	}
}

// askSQL uses one connection for each caller.
func (t *target) askSQL() (func(int64) error, error) {
	config, err := pgxpool.ParseConfig(t.Address)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 100
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	return func(i int64) error {
		rows, err := pool.Query(context.Background(), t.SQL, person(i))
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var agency, nr string
			var born time.Time
			if err := rows.Scan(&agency, &nr, &born); err != nil {
				return err
			}
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return t.counted(n)
	}, nil
}
