package workers

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/client"

	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/connect"
)

// ServeMetrics serves what this worker measures, and how the whole installation
// stands, until the context ends.
func (c Config) ServeMetrics(ctx context.Context, m *connect.Metrics, engine client.Client, log *logrus.Logger, now func() time.Time) error {
	port, err := starters.OnTemporal(engine)
	if err != nil {
		return err
	}
	if err := m.Register(starters.NewGauges(&starters.Client{Engine: port, Now: now}, log)); err != nil {
		return err
	}
	if err := m.Serve(ctx, c.MetricsListen, log); err != nil {
		return fmt.Errorf("TRUEUP_METRICS_LISTEN: %w", err)
	}
	return nil
}
