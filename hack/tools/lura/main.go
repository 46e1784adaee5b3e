// Command lura runs a gateway of luraproject/lura, the library under KrakenD, from its own configuration file. It is a module of its own, so
// that the product does not depend on it; `make bench-query` builds and starts it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/logging"
	"github.com/luraproject/lura/v2/proxy"
	"github.com/luraproject/lura/v2/router/mux"
	"github.com/luraproject/lura/v2/transport/http/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lura:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: lura FILE")
	}
	c, err := config.NewParser().Parse(os.Args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := logging.NoOp
	mux.NewFactory(mux.Config{
		Engine: mux.DefaultEngine(), Middlewares: []mux.HandlerMiddleware{}, HandlerFactory: mux.EndpointHandler,
		ProxyFactory: proxy.DefaultFactory(log), Logger: log, DebugPattern: "/__debug/", RunServer: server.RunServer,
	}).NewWithContext(ctx).Run(c)
	return nil
}
