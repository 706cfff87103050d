package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/client"
)

// Metrics is what a program measures, as Prometheus scrapes it: what the engine's
// SDK says of its calls, queues and workflows, what Go says of the process, and
// what is registered besides. See docs/metrics.md.
type Metrics struct {
	registry *prometheus.Registry
	sdk      *instruments
}

// NewMetrics returns metrics that know of the process alone.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), sdk: &instruments{all: map[string]prometheus.Collector{}}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.sdk)
	return m
}

// Register adds what one program measures besides.
func (m *Metrics) Register(c prometheus.Collector) error {
	if err := m.registry.Register(c); err != nil {
		return fmt.Errorf("register a metric: %w", err)
	}
	return nil
}

// Handler answers a scrape. A metric that cannot be said leaves out none of the
// others, and is counted in promhttp_metric_handler_errors_total.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 15 * time.Second, ErrorHandling: promhttp.ContinueOnError, Registry: m.registry,
	})
}

// Serve answers scrapes under /metrics until the context ends. It returns as soon
// as it listens, or why it cannot.
func (m *Metrics) Serve(ctx context.Context, listen string, log *logrus.Logger) error {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.WithError(err).Error("metrics are not served any more; restart this program")
		}
	}()
	log.WithField("address", "http://"+listener.Addr().String()+"/metrics").Info("metrics are served")
	return nil
}

// MetricsHandler is where the engine's SDK, and workflows through it, measure.
// Names are those of the SDK's own adapters: counters end with _total, timers
// with _seconds.
func (m *Metrics) MetricsHandler() client.MetricsHandler { return &measuring{to: m.sdk} }

// instruments are what the SDK measures: one for each name and set of tags. The
// SDK measures one name with several sets, which a registered vector refuses, so
// this collector is an unchecked one.
type instruments struct {
	mu  sync.Mutex
	all map[string]prometheus.Collector
}

// Describe describes nothing: see instruments.
func (i *instruments) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (i *instruments) Collect(to chan<- prometheus.Metric) {
	i.mu.Lock()
	all := slices.Collect(maps.Values(i.all))
	i.mu.Unlock()
	for _, c := range all {
		c.Collect(to)
	}
}

// instrument returns the one of a name and tags, made the first time. A name
// that is measured in two ways is a mistake in our code or the SDK's: the second
// is measured and not shown.
func instrument[C prometheus.Collector](i *instruments, name string, tags map[string]string, fresh func(prometheus.Labels) C) C {
	labels := prometheus.Labels{}
	var key strings.Builder
	key.WriteString(name)
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		labels[metricName(tag)] = tags[tag]
		key.WriteString("\x00" + tag + "\x00" + tags[tag])
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if known, ok := i.all[key.String()].(C); ok {
		return known
	}
	c := fresh(labels)
	if _, other := i.all[key.String()]; !other {
		i.all[key.String()] = c
	}
	return c
}

// metricName makes a name that Prometheus takes of any.
func metricName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

type measuring struct {
	to   *instruments
	tags map[string]string
}

// WithTags implements client.MetricsHandler.
func (m *measuring) WithTags(tags map[string]string) client.MetricsHandler {
	all := maps.Clone(m.tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	return &measuring{m.to, all}
}

const sdkHelp = "See docs/metrics.md; what begins with temporal_ is explained at docs.temporal.io/references/sdk-metrics."

// Counter implements client.MetricsHandler.
func (m *measuring) Counter(name string) client.MetricsCounter {
	name = metricName(name) + "_total"
	return counter{instrument(m.to, name, m.tags, func(l prometheus.Labels) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: sdkHelp, ConstLabels: l})
	})}
}

// Gauge implements client.MetricsHandler.
func (m *measuring) Gauge(name string) client.MetricsGauge {
	name = metricName(name)
	return gauge{instrument(m.to, name, m.tags, func(l prometheus.Labels) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: sdkHelp, ConstLabels: l})
	})}
}

// Timer implements client.MetricsHandler.
func (m *measuring) Timer(name string) client.MetricsTimer {
	buckets := callBuckets
	if strings.HasPrefix(name, "trueup_") {
		buckets = clockBuckets
	}
	name = metricName(name) + "_seconds"
	return timer{instrument(m.to, name, m.tags, func(l prometheus.Labels) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: sdkHelp, ConstLabels: l, Buckets: buckets})
	})}
}

// The buckets, in seconds: of calls, and of how long systems disagree.
var (
	callBuckets  = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 600}
	clockBuckets = []float64{5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600}
)

type (
	counter struct{ c prometheus.Counter }
	gauge   struct{ g prometheus.Gauge }
	timer   struct{ h prometheus.Histogram }
)

// Inc implements client.MetricsCounter. A counter only grows.
func (c counter) Inc(by int64) { c.c.Add(float64(max(0, by))) }

// Update implements client.MetricsGauge.
func (g gauge) Update(to float64) { g.g.Set(to) }

// Record implements client.MetricsTimer.
func (t timer) Record(d time.Duration) { t.h.Observe(d.Seconds()) }
