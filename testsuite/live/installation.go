package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/client"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/testsuite/world"
	"github.com/trueup-orders/trueup/workers"
)

// childVariable tells this very binary to be a worker process; it names the file
// with its settings.
const childVariable = "TRUEUP_LIVE_WORKER"

// settings are what a worker process is told.
type settings struct {
	Frontend string
	Config   workers.Config
}

// Worker is a worker process, in a binary that was started to be one; in every
// other it returns at once. Whoever plays worlds calls it first.
func Worker() {
	file := os.Getenv(childVariable)
	if file == "" {
		return
	}
	var s settings
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	var connection client.Client
	if err == nil {
		connection, err = client.Dial(client.Options{HostPort: s.Frontend})
	}
	if err == nil {
		err = workers.Run(context.Background(), s.Config, connection, quiet(), time.Now)
	}
	fmt.Fprintln(os.Stderr, "worker process:", err)
	os.Exit(1)
}

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(logs())
	return l
}

// worker is the worker process.
type worker struct {
	mu      sync.Mutex
	process *exec.Cmd
	starts  int
}

func (w *World) startWorker() error {
	w.worker.mu.Lock()
	defer w.worker.mu.Unlock()
	data, err := json.Marshal(settings{Frontend: w.engine.Frontend, Config: w.config})
	if err != nil {
		return err
	}
	w.worker.starts++
	file := filepath.Join(w.dir, fmt.Sprintf("worker-%d.json", w.worker.starts))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	w.worker.process = exec.Command(os.Args[0])
	w.worker.process.Env = append(os.Environ(), childVariable+"="+file)
	w.worker.process.Stderr = logs()
	return w.worker.process.Start()
}

// killWorker ends the worker at once, and waits until it is gone.
func (w *World) killWorker() {
	w.worker.mu.Lock()
	defer w.worker.mu.Unlock()
	if w.worker.process != nil {
		_ = w.worker.process.Process.Kill()
		_ = w.worker.process.Wait()
		w.worker.process = nil
	}
}

// gateway is where the systems send their webhooks.
type gateway struct {
	address  string
	listener net.Listener
	handler  http.Handler
	server   *http.Server
}

func (g *gateway) listen() (err error) {
	if g.listener, err = listen(g.address); err == nil {
		g.address = g.listener.Addr().String()
	}
	return err
}

func (g *gateway) serve() {
	g.server = &http.Server{Handler: g.handler, ReadHeaderTimeout: 10 * time.Second}
	go func(s *http.Server, l net.Listener) { _ = s.Serve(l) }(g.server, g.listener)
}

func (g *gateway) close() { _ = g.server.Close() }

func (w *World) openGateway() error {
	payments, err := stripe.New(stripe.Config{APIKey: w.config.Stripe.Key, BaseURL: w.config.Stripe.URL, Channel: "shop", Now: time.Now})
	if err != nil {
		return err
	}
	people, err := hubspot.New(hubspot.Config{
		BaseURL: w.config.HubSpot.URL, Token: w.config.HubSpot.Token, Channel: "shop", Now: time.Now, Pipeline: w.config.HubSpot.Pipeline,
		OpenStage: w.config.HubSpot.OpenStage, WonStage: w.config.HubSpot.WonStage, LostStage: w.config.HubSpot.LostStage,
		AbandonedStage: w.config.HubSpot.AbandonedStage,
	})
	if err != nil {
		return err
	}
	address, log := "http://"+w.gateway.address, quiet()
	w.gateway.handler, err = starters.NewGateway(starters.GatewayOptions{
		Client: w.Client, Log: log, PublicURL: address,
		Webhooks: []starters.Webhook{
			starters.StripeWebhook{Secrets: []string{world.StripeSecret}, OrderOf: payments.OrderOf, Log: log}.Webhook(),
			starters.HubSpotWebhook{Secrets: []string{world.HubSpotSecret}, PublicURL: address, OrdersOf: people.OrdersOf}.Webhook(),
		},
	})
	if err != nil {
		return err
	}
	w.gateway.serve()
	w.t.Cleanup(func() { w.gateway.close() })
	return nil
}

// Down takes a part down for a time, from within a step: it is killed, and comes
// back at that age.
func (w *World) Down(part virtual.Part, d time.Duration) {
	until := w.Age() + d
	if !w.outages.begin(part, until) {
		return
	}
	switch part {
	case virtual.Engine:
		w.engine.Kill()
	case virtual.Workers:
		w.killWorker()
	case virtual.Gateway:
		w.gateway.close()
	}
	w.At(until, string(part)+" comes back", func() { w.comeBack(part) })
}

func (w *World) comeBack(part virtual.Part) {
	if until := w.outages.of(part); until > w.Age() {
		w.At(until, string(part)+" comes back", func() { w.comeBack(part) })
		return
	}
	defer w.outages.end(part)
	var err error
	switch part {
	case virtual.Engine:
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		err = w.engine.Restart(ctx)
	case virtual.Workers:
		err = w.startWorker()
	case virtual.Gateway:
		if err = w.gateway.listen(); err == nil {
			w.gateway.serve()
		}
	}
	if err != nil {
		w.t.Errorf("the %s did not come back: %v", part, err)
	}
}

// outages are the parts that are down, and until which age.
type outages struct {
	mu    sync.Mutex
	until map[virtual.Part]time.Duration
}

// begin says whether a part was up that is down now.
func (o *outages) begin(part virtual.Part, until time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.until == nil {
		o.until = map[virtual.Part]time.Duration{}
	}
	was, down := o.until[part]
	o.until[part] = max(was, until)
	return !down
}

func (o *outages) of(part virtual.Part) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.until[part]
}

func (o *outages) end(part virtual.Part) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.until, part)
}

func (o *outages) now(parts ...virtual.Part) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, part := range parts {
		if _, down := o.until[part]; down {
			return true
		}
	}
	return false
}

// Answers says that the engine and its workers are there.
func (w *World) Answers() bool { return !w.outages.now(virtual.Engine, virtual.Workers) }
