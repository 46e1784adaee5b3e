package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"

	"github.com/google/uuid"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/hack/bench/rig"
)

// target is a server to load.
type target struct {
	Name    string
	Address string
	// Users: it serves users, by QueryService; otherwise peers, by SourceService.
	Users bool
	// Chain and Key (PKCS #8) of the caller; Authority of the server.
	Chain, Key, Authority []byte
}

func newTarget(name, address string, users bool, own *tls.Certificate, authority *x509.Certificate) (target, error) {
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	return target{Name: name, Address: address, Users: users, Chain: own.Certificate[0], Key: key, Authority: authority.Raw}, err
}

// asker connects to a target, for the child.
func asker(t target) (string, func(int64) error, error) {
	ask, err := t.ask()
	return t.Name, ask, err
}

func (t *target) ask() (func(int64) error, error) {
	key, err := x509.ParsePKCS8PrivateKey(t.Key)
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(t.Authority)
	if err != nil {
		return nil, err
	}
	conn, err := rig.Dial(t.Address, &tls.Certificate{Certificate: [][]byte{t.Chain}, PrivateKey: key}, authority, t.Users)
	if err != nil {
		return nil, err
	}
	fields := []string{"person_number", "birth_date"}
	why := &gatewayv1.Justification{CaseReference: "SP-2026-1"}
	filter := func(i int64) string { return fmt.Sprintf(`person_number == "P%06d"`, i*7919%people) }
	if t.Users {
		c := gatewayv1.NewQueryServiceClient(conn)
		return func(i int64) error {
			stream, err := c.Query(context.Background(), &gatewayv1.QueryRequest{Schema: "person", Filter: filter(i), Fields: fields, Purpose: purpose, Justification: why})
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
			if records != 1 {
				return fmt.Errorf("%d records", records)
			}
			return nil
		}, nil
	}
	c := gatewayv1.NewSourceServiceClient(conn)
	return func(i int64) error {
		stream, err := c.Retrieve(context.Background(), &gatewayv1.RetrieveRequest{
			DisclosureId: uuid.Must(uuid.NewV7()).String(), Agreement: agreement, Version: 1, Clause: "persons", Schema: "person.v1",
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
	}, nil
}

// firstLookup asks the source's gateway once.
func firstLookup(w *world) error {
	t, err := newTarget("governed", w.source.Addrs.Peer, false, w.credential, w.source.CA.Certificate)
	if err != nil {
		return err
	}
	ask, err := t.ask()
	if err != nil {
		return err
	}
	return ask(0)
}
