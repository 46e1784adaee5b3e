// Command entente-ready asks operator and gateways whether they are ready, for `helm test`: the image has no shell and no curl.
//
//	entente-ready [--timeout 2m] URL...
//
// A URL's host may stand for several replicas: each address that it resolves to is asked. It asks until all say yes, and prints what the
// last answers were.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	timeout := flag.Duration("timeout", 2*time.Minute, "how long to go on asking")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	if err := run(ctx, os.Stdout, time.Second, flag.Args()...); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// run asks until every address of every URL answers 200, or ctx ends.
func run(ctx context.Context, out io.Writer, pause time.Duration, urls ...string) error {
	if len(urls) == 0 {
		return errors.New("name the URLs to ask")
	}
	for {
		report, err := round(ctx, urls)
		if err == nil {
			fmt.Fprint(out, report)
			return nil
		}
		select {
		case <-ctx.Done():
			fmt.Fprint(out, report)
			return err
		case <-time.After(pause):
		}
	}
}

// round asks everybody once.
func round(ctx context.Context, urls []string) (report string, err error) {
	var text strings.Builder
	waiting := 0
	for _, u := range urls {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Host == "" {
			return "", fmt.Errorf("%q is not a URL", u)
		}
		addresses, err := net.DefaultResolver.LookupHost(ctx, parsed.Hostname())
		if err != nil {
			fmt.Fprintf(&text, "%s: %v\n", u, err)
			waiting++
			continue
		}
		for _, address := range addresses {
			answer, err := ask(ctx, parsed, address)
			if err != nil {
				waiting++
				answer = err.Error()
			}
			fmt.Fprintf(&text, "%s at %s:\n  %s\n", u, address, strings.ReplaceAll(strings.TrimSpace(answer), "\n", "\n  "))
		}
	}
	if waiting > 0 {
		return text.String(), fmt.Errorf("%d not ready; see above", waiting)
	}
	return text.String(), nil
}

func ask(ctx context.Context, u *url.URL, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dialer := &net.Dialer{}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, hostPort string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(hostPort)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, net.JoinHostPort(address, port))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<10))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s\n%s", response.Status, body)
	}
	return string(body), nil
}
