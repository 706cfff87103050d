package starters

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/starters/connect"
)

// drain is how long requests that are under way may take once the gateway is
// told to stop: longer than anybody waits by default.
const drain = 15 * time.Second

// gather is how long webhooks about one order are gathered: what one change sets
// off comes within this time, and nobody who waits for a webhook notices it.
const gather = 500 * time.Millisecond

// RunGateway is the gateway program: it reads the settings, connects to the
// engine and serves until ctx ends.
func RunGateway(ctx context.Context, now func() time.Time) error {
	settings, err := ReadSettings()
	if err != nil {
		return err
	}
	log, forEngine, err := connect.Logger(settings.Log.Level, settings.Log.Format)
	if err != nil {
		return err
	}
	webhooks, err := settings.webhooks(now, log)
	if err != nil {
		return err
	}
	metrics := connect.NewMetrics()
	engine, err := connect.Measured(ctx, forEngine, metrics)
	if err != nil {
		return err
	}
	defer engine.Close()
	port, err := OnTemporal(engine)
	if err != nil {
		return err
	}
	client := &Client{Engine: port, Now: now}
	if err := metrics.Register(NewGauges(client, log)); err != nil {
		return err
	}
	gateway, err := NewGateway(GatewayOptions{
		Metrics: metrics.Handler(),
		Client:  client, Webhooks: webhooks, Log: log, PublicURL: settings.Gateway.PublicURL, Gather: gather,
		Ready: func(ctx context.Context) error { return connect.Healthy(ctx, engine) },
	})
	if err != nil {
		return err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", settings.Gateway.Listen)
	if err != nil {
		return fmt.Errorf("TRUEUP_GATEWAY_LISTEN: %w", err)
	}
	for _, w := range webhooks {
		log.WithField("system", string(w.System)).Info("webhooks are taken")
	}
	log.WithField("address", "http://"+listener.Addr().String()).Info("the gateway listens")
	return Serve(ctx, listener, gateway, log)
}

// Serve serves HTTP on a listener until ctx ends, and then lets what is under
// way finish. It refuses, and closes, a listener that others than this machine
// can reach.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *logrus.Logger) error {
	if err := Loopback(listener.Addr().String()); err != nil {
		return errors.Join(fmt.Errorf("the listener's address %w", err), listener.Close())
	}
	complaints := log.WriterLevel(logrus.WarnLevel)
	defer func() { _ = complaints.Close() }()
	server := &http.Server{
		Handler: handler, ErrorLog: stdlog.New(complaints, "", 0), MaxHeaderBytes: 32 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		// An answer is waited for at most maxWait, and then made durable.
		WriteTimeout: maxWait + 20*time.Second, IdleTimeout: time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("the gateway stops: it takes no more requests and finishes those under way")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return errors.Join(fmt.Errorf("stop: requests were still under way after %s", drain), server.Close())
	}
	return nil
}
